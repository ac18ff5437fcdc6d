# IAI on Mask R-CNN on MovingShapes from scratch: the detector of MaskTrack R-CNN's demo, association at
# stride 16.
_base_ = "../baselines/masktrack_rcnn_demo_movingshapes.py"

method_name = "IAI on Mask R-CNN"
_detector = _base_.model.detector
_channels = _base_.channels

model = dict(
    _delete_=True,
    type="visbench.IAI",
    data_preprocessor=_base_.model.data_preprocessor,
    num_ids=12,
    backbone=_detector.backbone,
    association=dict(
        in_channels=128,
        stride=16,
        channels=_channels,
        classification_channels=_channels,
        block=dict(window=7, hidden_channels=128, num_groups=8),
        linear_bank_start=True,
    ),
    neck={**_detector.neck, "in_channels": [32, 64, 3 * _channels]},
    segmenter=dict(
        type="visbench.IAIMaskRCNN",
        num_classes=_base_.num_classes,
        rpn_head=_detector.rpn_head,
        roi_head=_detector.roi_head,
        train_cfg=dict(rpn=_detector.train_cfg.rpn, rcnn=_detector.train_cfg.rcnn),
        proposals=_detector.test_cfg.rpn,
        id_branch=dict(fc_channels=256),
    ),
)

batch_size = 4
single_iters = 700
max_iters = 1200
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
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=50),
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
