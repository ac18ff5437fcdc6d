# IAI on CondInst on MovingShapes from scratch.
# Half-width ResNet-18 with GroupNorm, three pyramid levels of 64 channels, association at stride 16.
_base_ = [
    "../_base_/models/iai_condinst_r50.py",
    "../_base_/datasets/moving_shapes.py",
    "../_base_/default_runtime.py",
]

method_name = "IAI"
num_classes = 8
channels = 64
_norm = dict(type="GN", num_groups=8)

model = dict(
    num_ids=12,
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
    association=dict(
        in_channels=128,
        stride=16,
        channels=channels,
        classification_channels=channels,
        block=dict(window=7, hidden_channels=128, num_groups=8),
        linear_bank_start=True,
    ),
    neck=dict(
        in_channels=[32, 64, 3 * channels],
        out_channels=channels,
        start_level=0,
        add_extra_convs=False,
        num_outs=3,
        norm_cfg=_norm,
    ),
    segmenter=dict(
        num_classes=num_classes,
        # Stride 4 is for masks; there the head would cost four times the rest of the model.
        head_start_level=1,
        head=dict(
            in_channels=channels,
            feat_channels=channels,
            stacked_convs=2,
            strides=[8, 16],
            # Objects are 20 to 50 pixels wide.
            regress_ranges=((-1, 20), (20, 1e8)),
            # Classes are learned where an object's centre is; with 1.5 a few hundred steps teach none.
            center_sample_radius=0.6,
            norm_cfg=_norm,
        ),
        id_branch=dict(loss_id=dict(loss_weight=2.0)),
        mask_features=dict(
            in_channels=channels,
            feat_channels=32,
            mask_stride=4,
            num_stacked_convs=1,
            norm_cfg=_norm,
        ),
    ),
)

# In place of pre-training on still images: single frames first, then clips of three.
batch_size = 4
single_iters = 900
max_iters = 1500
warm_up = 50
train_dataloader = dict(
    batch_size=batch_size,
    dataset=dict(
        clip=dict(
            _delete_=True,
            type="visbench.SampleGrowingClip",
            lengths=[(0, 1), (batch_size * single_iters, 3)],
            frame_range=8,
            order="sorted",
        )
    ),
)
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="AdamW", lr=1e-3, betas=(0.9, 0.99), weight_decay=0.05),
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0),
    clip_grad=dict(max_norm=5.0),
)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=warm_up),
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
