# IAI on CondInst on MovingShapes from scratch: longer than the demo, on `mixed`. Validated on `easy`; other
# presets by --cfg-options test_dataloader.dataset.preset=occluded (crowded, long).
_base_ = "./iai_demo_movingshapes.py"

# Up to 8 objects at a time, and others that come late.
model = dict(num_ids=25, max_per_video=20, segmenter=dict(head=dict(center_sample_radius=0.5)))

batch_size = 4
single_iters = 2600
max_iters = 4000
train_dataloader = dict(
    dataset=dict(preset="mixed", clip=dict(lengths=[(0, 1), (batch_size * single_iters, 3)])),
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
        eta_min=1e-5,
    ),
]
default_hooks = dict(checkpoint=dict(interval=max_iters))
