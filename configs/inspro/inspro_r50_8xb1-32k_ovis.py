# InsPro, ResNet-50, OVIS: as for YouTube-VIS 2019, 25 classes.
_base_ = [
    "../_base_/models/inspro_r50.py",
    "../_base_/datasets/ovis.py",
    "../_base_/datasets/inspro_clips.py",
    "../_base_/schedules/inspro_32k.py",
]

model = dict(head=dict(num_classes=25))
train_dataloader = dict(dataset=dict(pipeline=_base_.video_clip_transforms))
