# Propose-Reduce on MovingShapes from scratch: sized for 15 minutes on two cores (not timed
# alone), on `mixed`.
# Validated on `easy`; other presets by --cfg-options test_dataloader.dataset.preset=occluded (crowded,
# long).
_base_ = "./propose_reduce_demo_movingshapes.py"

batch_size = 4
single_iters = 700
max_iters = 1800
train_dataloader = dict(
    dataset=dict(preset="mixed", clip=dict(lengths=[(0, 1), (batch_size * single_iters, 2)])),
)
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=100),
    dict(
        type="CosineAnnealingLR",
        by_epoch=False,
        begin=single_iters,
        end=max_iters,
        T_max=max_iters - single_iters,
        eta_min=8e-6,
    ),
]
default_hooks = dict(checkpoint=dict(interval=max_iters))
