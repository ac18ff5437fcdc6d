# InsPro on MovingShapes from scratch: sized for 15 minutes on two cores (not timed alone), on `mixed`. Validated on
# `easy`; other presets by --cfg-options test_dataloader.dataset.preset=occluded (crowded, long).
_base_ = "./inspro_demo_movingshapes.py"

# Up to 8 objects at a time, and free slots for those that come late.
model = dict(head=dict(num_queries=20))

batch_size = 3
single_iters = 3500
max_iters = 4700
train_dataloader = dict(
    batch_size=batch_size,
    dataset=dict(
        preset="mixed",
        clip=dict(lengths=[(0, 1), (batch_size * single_iters, 4)]),
    ),
)
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=200),
    dict(
        type="CosineAnnealingLR",
        by_epoch=False,
        begin=max_iters // 2,
        end=max_iters,
        T_max=max_iters - max_iters // 2,
        eta_min=1e-5,
    ),
]
default_hooks = dict(checkpoint=dict(interval=max_iters))
