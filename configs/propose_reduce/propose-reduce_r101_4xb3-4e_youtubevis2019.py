# Propose-Reduce, ResNet-101, YouTube-VIS 2019, as released: 4 GPUs with 3 pairs each, 4 epochs.
_base_ = "./propose-reduce_r50_4xb5-4e_youtubevis2019.py"

model = dict(
    detector=dict(
        backbone=dict(
            depth=101, init_cfg=dict(type="Pretrained", checkpoint="torchvision://resnet101")
        )
    )
)

train_dataloader = dict(batch_size=3, sampler=dict(group_size=12))

max_iters = 20_600
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
param_scheduler = [
    dict(type="LinearLR", start_factor=1.0 / 3.0, by_epoch=False, begin=0, end=10),
    dict(type="MultiStepLR", by_epoch=False, milestones=[max_iters // 2], gamma=0.1),
]
auto_scale_lr = dict(base_batch_size=12)
load_from = "checkpoints/propose-reduce_main_r101_youtubevis2019.pth"
