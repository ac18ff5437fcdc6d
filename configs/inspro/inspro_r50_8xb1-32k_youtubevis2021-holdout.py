# InsPro, ResNet-50, YouTube-VIS 2021, validated on held-out training videos.
_base_ = [
    "../_base_/models/inspro_r50.py",
    "../_base_/datasets/youtube_vis_2021_holdout.py",
    "../_base_/datasets/inspro_clips.py",
    "../_base_/schedules/inspro_32k.py",
]

train_dataloader = dict(dataset=dict(pipeline=_base_.video_clip_transforms))
