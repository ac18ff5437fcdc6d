# InsPro on MovingShapes from scratch: 4 minutes of training on two cores (measured: 241 s).
# Half-width ResNet-18 with GroupNorm, three pyramid levels of 64 channels, 12 slots, 3 stages.
_base_ = [
    "../_base_/models/inspro_r50.py",
    "../_base_/datasets/moving_shapes.py",
    "../_base_/default_runtime.py",
]

method_name = "InsPro"
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
    neck=dict(in_channels=[32, 64, 128], out_channels=channels, num_outs=3, norm_cfg=_norm),
    mask_branch=dict(
        in_channels=channels,
        feat_channels=32,
        start_level=0,
        end_level=2,
        mask_stride=4,
        num_stacked_convs=1,
        norm_cfg=_norm,
    ),
    head=dict(
        num_classes=8,
        num_queries=12,
        num_stages=3,
        channels=channels,
        stage=dict(
            num_heads=4,
            feedforward_channels=256,
            dynamic_channels=16,
            roi_size=5,
            num_reg_layers=2,
            # As the grid below, for a short training from scratch: boxes start where they are.
            zero_init_regression=True,
        ),
        strides=(4, 8, 16),
        finest_scale=32,
        rel_coord_norm="fixed:32",
        # The paper starts every proposal as the whole frame and from a detector trained on COCO.
        start_boxes="grid",
        start_queries="shared",
    ),
    criterion=dict(tcm_stage_mode="last", cls_weight=6.0, still_weight=3.0),
    # Found on training videos kept aside.
    test_cfg=dict(score_reduce="mean_present", frame_score_thr=0.1),
)

# In place of pre-training on still images: single frames first, then clips of four.
batch_size = 3
single_iters = 1000
max_iters = 1520
train_dataloader = dict(
    batch_size=batch_size,
    dataset=dict(
        clip=dict(
            _delete_=True,
            type="visbench.SampleGrowingClip",
            lengths=[(0, 1), (batch_size * single_iters, 4)],
            frame_range=6,
        )
    ),
)

warm_up = 60
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="AdamW", lr=1e-3, betas=(0.9, 0.99), weight_decay=0.05),
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0),
    clip_grad=dict(max_norm=1.0),
)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=warm_up),
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
