# IDOL on MovingShapes from scratch: sized for 4 minutes of training on two cores.
# Half-width ResNet-18 with GroupNorm, transformer of width 64 on strides 4, 8, 16, 96 queries on a grid.
_base_ = [
    "../_base_/models/idol_r50.py",
    "../_base_/datasets/moving_shapes.py",
    "../_base_/default_runtime.py",
]

method_name = "IDOL"
channels = 64
_norm = dict(type="GN", num_groups=8)

model = dict(
    backbone=dict(
        _delete_=True,
        type="mmdet.ResNet",
        depth=18,
        base_channels=32,
        stem_channels=32,
        num_stages=3,
        strides=(1, 2, 2),
        dilations=(1, 1, 1),
        out_indices=(0, 1, 2),
        norm_cfg=_norm,
        norm_eval=False,
        # Blocks that start as identities learn too little in a few hundred steps.
        zero_init_residual=False,
    ),
    neck=dict(in_channels=[32, 64, 128], out_channels=channels, norm_cfg=_norm, num_outs=3),
    transformer=dict(
        num_queries=96,
        query_grid=(8, 12),
        num_heads=4,
        num_points=4,
        feedforward_channels=128,
        num_encoder_layers=1,
        num_decoder_layers=3,
        dropout=0.0,
    ),
    head=dict(
        num_classes=8,
        embed_channels=channels,
        mask_branch=dict(hidden_channels=32),
        mask_head=dict(stride=4),
    ),
)

# In place of pre-training on still images: single frames first, then pairs.
batch_size = 2
single_iters = 1000
max_iters = 1650
warm_up = 100
train_dataloader = dict(
    batch_size=batch_size,
    dataset=dict(
        clip=dict(
            _delete_=True,
            type="visbench.SampleGrowingClip",
            lengths=[(0, 1), (batch_size * single_iters, 2)],
            frame_range=5,
            order="sorted",
        )
    ),
)
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="AdamW", lr=1e-3, weight_decay=0.01),
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0),
    clip_grad=dict(max_norm=1.0),
)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=warm_up),
    dict(type="PolyLR", by_epoch=False, begin=warm_up, end=max_iters, eta_min=1e-5),
]
default_hooks = dict(checkpoint=dict(interval=max_iters))
