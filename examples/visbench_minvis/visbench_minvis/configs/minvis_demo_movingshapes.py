# MinVIS on MovingShapes from scratch: at most 4 minutes of training on two cores.
# Half-width ResNet-18 with GroupNorm, Mask2Former of width 64 with 20 queries, single frames.
_base_ = [
    "visbench::_base_/datasets/moving_shapes.py",
    "visbench::_base_/default_runtime.py",
]

method_name = "MinVIS"
num_classes = 8
channels = 64
_norm = dict(type="GN", num_groups=8)
_attention = dict(embed_dims=channels, num_heads=4, dropout=0.0, batch_first=True)
_ffn = dict(
    embed_dims=channels,
    feedforward_channels=128,
    num_fcs=2,
    ffn_drop=0.0,
    act_cfg=dict(type="ReLU", inplace=True),
)

model = dict(
    type="MinVIS",
    backbone=dict(
        type="mmdet.ResNet",
        depth=18,
        base_channels=32,
        stem_channels=32,
        num_stages=4,
        out_indices=(0, 1, 2, 3),
        norm_cfg=_norm,
        norm_eval=False,
        # Blocks that start as identities learn too little in a few hundred steps.
        zero_init_residual=False,
    ),
    panoptic_head=dict(
        type="MinVISHead",
        num_classes=num_classes,
        in_channels=[32, 64, 128, 256],
        strides=[4, 8, 16, 32],
        feat_channels=channels,
        out_channels=channels,
        num_queries=20,
        num_transformer_feat_level=3,
        pixel_decoder=dict(
            type="mmdet.MSDeformAttnPixelDecoder",
            num_outs=3,
            norm_cfg=_norm,
            act_cfg=dict(type="ReLU"),
            encoder=dict(
                num_layers=1,
                layer_cfg=dict(
                    self_attn_cfg=dict(num_levels=3, num_points=4, im2col_step=128, **_attention),
                    ffn_cfg=_ffn,
                ),
            ),
            positional_encoding=dict(num_feats=channels // 2, normalize=True),
        ),
        positional_encoding=dict(num_feats=channels // 2, normalize=True),
        transformer_decoder=dict(
            return_intermediate=True,
            num_layers=3,
            layer_cfg=dict(self_attn_cfg=_attention, cross_attn_cfg=_attention, ffn_cfg=_ffn),
            init_cfg=None,
        ),
        loss_cls=dict(
            type="mmdet.CrossEntropyLoss",
            use_sigmoid=False,
            loss_weight=2.0,
            reduction="mean",
            class_weight=[1.0] * num_classes + [0.1],
        ),
        loss_mask=dict(
            type="mmdet.CrossEntropyLoss", use_sigmoid=True, reduction="mean", loss_weight=5.0
        ),
        loss_dice=dict(
            type="mmdet.DiceLoss",
            use_sigmoid=True,
            activate=True,
            reduction="mean",
            naive_dice=True,
            eps=1.0,
            loss_weight=5.0,
        ),
        train_cfg=dict(
            num_points=512,
            oversample_ratio=3.0,
            importance_sample_ratio=0.75,
            assigner=dict(
                type="mmdet.HungarianAssigner",
                match_costs=[
                    dict(type="mmdet.ClassificationCost", weight=2.0),
                    dict(type="mmdet.CrossEntropyLossCost", weight=5.0, use_sigmoid=True),
                    dict(type="mmdet.DiceCost", weight=5.0, pred_act=True, eps=1.0),
                ],
            ),
            sampler=dict(type="mmdet.MaskPseudoSampler"),
        ),
    ),
)

train_dataloader = dict(batch_size=4, dataset=dict(clip=dict(num_frames=1)))

max_iters = 1000
warm_up = 50
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="AdamW", lr=8e-4, weight_decay=0.05),
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0),
    clip_grad=dict(max_norm=1.0),
)
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
