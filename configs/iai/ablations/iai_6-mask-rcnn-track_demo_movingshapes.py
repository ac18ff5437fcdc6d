# IAI, Table 6: tracking by detection on Mask R-CNN. Data and schedule are those of IAI on Mask R-CNN.
_base_ = ["../iai_mask-rcnn_demo_movingshapes.py"]

method_name = "Mask R-CNN, tracking by detection"

model = dict(
    _delete_=True,
    type="visbench.IAITrackingByDetection",
    data_preprocessor=_base_.model.data_preprocessor,
    backbone=_base_.model.backbone,
    neck={**_base_.model.neck, "in_channels": [32, 64, 128]},
    segmenter=_base_.model.segmenter,
    track_head=dict(
        type="mmdet.RoITrackHead",
        roi_extractor=_base_.model.segmenter.roi_head.bbox_roi_extractor,
        # As in the demo of MaskTrack R-CNN.
        embed_head=dict(
            type="visbench.SignedRoIEmbedHead",
            num_fcs=2,
            with_avg_pool=True,
            roi_feat_size=7,
            in_channels=_base_.channels,
            fc_out_channels=128,
            loss_match=dict(type="mmdet.CrossEntropyLoss", use_sigmoid=False, loss_weight=0.05),
        ),
    ),
    association=dict(max_detections=10),
)
