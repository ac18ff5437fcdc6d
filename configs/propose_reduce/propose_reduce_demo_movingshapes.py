# Propose-Reduce on MovingShapes from scratch: at most 4 minutes of training on two cores.
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
    propose=dict(memory_interval=5),
    score=dict(type="visbench.MeanOverMask"),
    reduce=[dict(type="visbench.SequenceNMS", iou_threshold=0.5, score_threshold=0.05)],
    score_threshold=0.05,
    max_predictions=20,
    loss_prop=dict(type="visbench.SoftIoULoss", loss_weight=1.0),
    # Without it a training from scratch ends in empty masks.
    loss_prop_pixel=dict(type="visbench.PixelCrossEntropy", loss_weight=1.0),
    prop_head=dict(
        type="visbench.SeqPropHead",
        in_channels={{_base_.channels}},
        shallow_channels=(32, 64),
        channels=32,
        encoder_channels=64,
        key_channels=32,
        value_channels=32,
        norm_cfg=dict(type="GN", num_groups=8),
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
        test_cfg=dict(rcnn=dict(score_thr=0.2)),
    ),
)

train_dataloader = dict(
    batch_size=2,
    dataset=dict(
        clip=dict(
            _delete_=True, type="visbench.SampleKeyReference", num_references=1, frame_range=10
        )
    ),
)

max_iters = 1500
warm_up = 50
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
        begin=warm_up,
        end=max_iters,
        T_max=max_iters - warm_up,
        eta_min=8e-6,
    ),
]
default_hooks = dict(checkpoint=dict(interval=max_iters))
