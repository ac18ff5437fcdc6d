# InsPro-VID: AdamW for 90k iterations of 8 clips, steps down at 65k and 80k.
_base_ = "../default_runtime.py"

train_cfg = dict(max_iters=90_000, val_interval=90_000)
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="AdamW", lr=2.5e-5, weight_decay=1e-4),
    clip_grad=dict(max_norm=1.0, norm_type=2),
)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=1_000),
    dict(
        type="MultiStepLR",
        by_epoch=False,
        begin=0,
        end=90_000,
        milestones=[65_000, 80_000],
        gamma=0.1,
    ),
]
default_hooks = dict(checkpoint=dict(interval=10_000, save_best="imagenet_vid/AP"))
auto_scale_lr = dict(base_batch_size=8, enable=False)
