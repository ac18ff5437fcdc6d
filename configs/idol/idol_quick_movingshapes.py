# IDOL on MovingShapes from scratch: longer than the demo, on `mixed`. Validated on `easy`; other presets by
# --cfg-options test_dataloader.dataset.preset=occluded (crowded, long).
_base_ = "./idol_demo_movingshapes.py"

batch_size = 2
single_iters = 2800
max_iters = 5800
train_dataloader = dict(
    dataset=dict(preset="mixed", clip=dict(lengths=[(0, 1), (batch_size * single_iters, 2)])),
)
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=100),
    dict(type="PolyLR", by_epoch=False, begin=100, end=max_iters, eta_min=1e-5),
]
default_hooks = dict(checkpoint=dict(interval=max_iters))
