# IAI on CondInst, ResNet-50, YouTube-VIS 2019: one image size, 4 GPUs with 4 clips each (Table 1).
_base_ = [
    "../_base_/models/iai_condinst_r50.py",
    "../_base_/datasets/youtube_vis_2019.py",
    "../_base_/datasets/iai_clips.py",
    "../_base_/schedules/iai_12e_youtubevis2019.py",
]

train_dataloader = dict(
    batch_size=4, dataset=dict(clip=_base_.clip, pipeline=_base_.single_scale_transforms)
)
