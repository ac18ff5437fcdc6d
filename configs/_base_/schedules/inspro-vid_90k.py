# InsPro-VID: as InsPro on videos, for 90k iterations; steps down at 65k and 80k.
_base_ = "./inspro_32k.py"

# The paper does not say what training starts from.
load_from = None

train_cfg = dict(max_iters=90_000, val_interval=90_000)
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
