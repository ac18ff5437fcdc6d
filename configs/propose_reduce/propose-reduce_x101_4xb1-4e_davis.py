# Propose-Reduce, ResNeXt-101 64x4d, DAVIS 2017 unsupervised, as released: 4 GPUs with 1 pair each, 4
# epochs.
_base_ = "./propose-reduce_r101_4xb2-4e_davis.py"

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

train_dataloader = dict(batch_size=1, sampler=dict(group_size=4))

max_iters = 4_200
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
param_scheduler = [
    dict(type="LinearLR", start_factor=1.0 / 3.0, by_epoch=False, begin=0, end=10),
    dict(type="MultiStepLR", by_epoch=False, milestones=[max_iters // 2], gamma=0.1),
]
auto_scale_lr = dict(base_batch_size=4)
load_from = "checkpoints/propose-reduce_main_x101_davis.pth"
