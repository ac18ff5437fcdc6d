# IAI on Mask R-CNN with ResNet-50; the detector is that of MaskTrack R-CNN.
_base_ = "./masktrack_rcnn_r50.py"

num_ids = 20
_detector = _base_.model.detector

model = dict(
    _delete_=True,
    type="visbench.IAI",
    data_preprocessor=_base_.model.data_preprocessor,
    num_ids=num_ids,
    max_per_video=10,
    backbone=_detector.backbone,
    association=dict(
        in_channels=2048,
        stride=32,
        channels=256,
        classification_channels=1536,
        global_interval=3,
    ),
    neck=_detector.neck,
    segmenter=dict(
        type="visbench.IAIMaskRCNN",
        num_classes=40,
        rpn_head=_detector.rpn_head,
        roi_head=_detector.roi_head,
        train_cfg=dict(rpn=_detector.train_cfg.rpn, rcnn=_detector.train_cfg.rcnn),
        proposals=_detector.test_cfg.rpn,
        test_cfg=dict(cls_score_thr=0.1, id_score_thr=0.1, max_per_frame=10),
    ),
)
