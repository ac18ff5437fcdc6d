# Propose-Reduce, ResNeXt-101 64x4d, YouTube-VIS 2021, as released: 4 GPUs with 2 pairs each, 4 epochs.
_base_ = "./propose-reduce_r50_4xb5-4e_youtubevis2021.py"

model = dict(
    detector=dict(
        backbone=dict(
            type="mmdet.ResNeXt",
            depth=101,
            groups=64,
            base_width=4,
            init_cfg=dict(type="Pretrained", checkpoint="open-mmlab://resnext101_64x4d"),
        )
    )
)

train_dataloader = dict(batch_size=2, sampler=dict(group_size=8))

max_iters = 45_100
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
param_scheduler = [
    dict(type="LinearLR", start_factor=1.0 / 3.0, by_epoch=False, begin=0, end=10),
    dict(type="MultiStepLR", by_epoch=False, milestones=[max_iters // 2], gamma=0.1),
]
auto_scale_lr = dict(base_batch_size=8)
load_from = "checkpoints/propose-reduce_main_x101_youtubevis2021.pth"
