# IDOL, ResNet-101, YouTube-VIS 2019: 8 GPUs with four pairs each, 12k iterations.
_base_ = [
    "../_base_/models/idol_r101.py",
    "../_base_/datasets/youtube_vis_2019.py",
    "../_base_/datasets/idol_pairs.py",
    "../_base_/schedules/idol_12k.py",
]

load_from = "checkpoints/idol_r101_coco.pth"
train_dataloader = dict(
    batch_size=4,
    dataset=dict(
        clip=_base_.pair_clip, filter_cfg=None, pipeline=_base_.pair_transforms.youtube_vis
    ),
)
# The supplementary tests at 360 pixels, the reference implementation at 480.
val_dataloader = dict(dataset=dict(pipeline=_base_.test_transforms_at[480]))
test_dataloader = val_dataloader
