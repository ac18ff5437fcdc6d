# MaskTrack R-CNN on MovingShapes from scratch: at most 4 minutes of training on two cores.
# Half-width ResNet-18 with GroupNorm, three pyramid levels of 64 channels, anchors of 20 to 50 pixels.
_base_ = [
    "../_base_/models/mask_rcnn_half-r18.py",
    "../_base_/datasets/moving_shapes.py",
    "../_base_/default_runtime.py",
]

method_name = "MaskTrack R-CNN"
_channels = {{_base_.channels}}
_rcnn = {{_base_.model.detector.train_cfg.rcnn}}

model = dict(
    type="visbench.MaskTrackRCNN",
    reference_losses=True,
    max_predictions=20,
    track_head=dict(
        type="mmdet.RoITrackHead",
        roi_extractor={{_base_.model.detector.roi_head.bbox_roi_extractor}},
        embed_head=dict(
            type="visbench.SignedRoIEmbedHead",
            num_fcs=2,
            with_avg_pool=True,
            roi_feat_size=7,
            in_channels=_channels,
            fc_out_channels=128,
            loss_match=dict(type="mmdet.CrossEntropyLoss", use_sigmoid=False, loss_weight=0.05),
        ),
        train_cfg=_rcnn,
    ),
    tracker=dict(
        type="mmdet.MaskTrackRCNNTracker",
        match_weights=dict(det_score=1.0, iou=5.0, det_label=2.0),
        num_frames_retain=20,
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

max_iters = 1800
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
