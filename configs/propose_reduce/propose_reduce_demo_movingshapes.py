# Propose-Reduce on MovingShapes from scratch: sized for 4 minutes on two cores (not timed alone).
# The detector of the other demos, and a Seq-Prop head of 32 to 64 channels.
_base_ = [
    "../_base_/models/mask_rcnn_half-r18.py",
    "../_base_/datasets/moving_shapes.py",
    "../_base_/default_runtime.py",
]

method_name = "Propose-Reduce"

model = dict(
    type="visbench.SeqMaskRCNN",
    all_pairs=True,
    key_frames=dict(type="visbench.EvenKeyFrames", num_key_frames=5),
    propose=dict(memory_interval=2),
    score=dict(type="visbench.MeanOverMask"),
    reduce=[dict(type="visbench.SequenceNMS", iou_threshold=0.5, score_threshold=0.05)],
    score_threshold=0.05,
    max_predictions=20,
    loss_prop=dict(type="visbench.SoftIoULoss", loss_weight=1.0),
    # Without it a training from scratch can end in empty masks.
    loss_prop_pixel=dict(type="visbench.PixelCrossEntropy", loss_weight=2.0),
    prop_head=dict(
        type="visbench.SeqPropHead",
        in_channels={{_base_.channels}},
        shallow_channels=(32, 64),
        channels=32,
        encoder_channels=64,
        key_channels=32,
        value_channels=32,
        norm_cfg=dict(type="GN", num_groups=8),
        # Objects are 16 to 50 pixels wide: cells of 16 pixels are too coarse to match them.
        encoder_strides=(1, 2),
        matched_start=True,
        init_cfg=dict(
            type="Kaiming",
            layer="Conv2d",
            mode="fan_in",
            nonlinearity="relu",
            override=dict(type="Normal", name="memory_key", std=0.08),
        ),
    ),
    detector=dict(
        roi_head=dict(mask_head=dict(type="visbench.SeqMaskHead")),
        test_cfg=dict(rcnn=dict(score_thr=0.1)),
    ),
)

# In place of pre-training on still images: single frames first, each propagated to itself, then pairs.
batch_size = 4
single_iters = 700
max_iters = 1100
warm_up = 50
train_dataloader = dict(
    batch_size=batch_size,
    dataset=dict(
        clip=dict(
            _delete_=True,
            type="visbench.SampleGrowingClip",
            lengths=[(0, 1), (batch_size * single_iters, 2)],
            frame_range=8,
            order="sorted",
        )
    ),
)
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="AdamW", lr=8e-4, weight_decay=0.05),
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
        eta_min=8e-6,
    ),
]
default_hooks = dict(checkpoint=dict(interval=max_iters))
