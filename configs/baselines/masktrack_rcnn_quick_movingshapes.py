# MaskTrack R-CNN on MovingShapes from scratch: longer than the demo, on `mixed`. Validated on `easy`; other
# presets by --cfg-options test_dataloader.dataset.preset=occluded (crowded, long).
_base_ = "./masktrack_rcnn_demo_movingshapes.py"

max_iters = 5000
warm_up = 50
train_dataloader = dict(dataset=dict(preset="mixed"))
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=warm_up),
    dict(
        type="CosineAnnealingLR",
        by_epoch=False,
        begin=warm_up,
        end=max_iters,
        T_max=max_iters - warm_up,
        eta_min=8e-6,
    ),
]
default_hooks = dict(checkpoint=dict(interval=max_iters))
