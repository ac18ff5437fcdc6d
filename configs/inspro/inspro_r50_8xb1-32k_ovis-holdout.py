# InsPro, ResNet-50, OVIS, validated on held-out training videos.
_base_ = [
    "../_base_/models/inspro_r50.py",
    "../_base_/datasets/ovis_holdout.py",
    "../_base_/datasets/inspro_clips.py",
    "../_base_/schedules/inspro_32k.py",
]

model = dict(head=dict(num_classes=25))
train_dataloader = dict(dataset=dict(pipeline=_base_.video_clip_transforms))
