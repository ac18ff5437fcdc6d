# IAI, Table 6: tracking by detection on CondInst. Data and schedule are those of IAI's demo.
_base_ = "../iai_demo_movingshapes.py"

method_name = "CondInst, tracking by detection"

model = dict(
    _delete_=True,
    type="visbench.IAITrackingByDetection",
    data_preprocessor=_base_.model.data_preprocessor,
    backbone=_base_.model.backbone,
    neck={**_base_.model.neck, "in_channels": [32, 64, 128]},
    segmenter=_base_.model.segmenter,
    track_head=dict(
        type="mmdet.RoITrackHead",
        roi_extractor=dict(
            type="mmdet.SingleRoIExtractor",
            roi_layer=dict(type="RoIAlign", output_size=7, sampling_ratio=2),
            out_channels=_base_.channels,
            featmap_strides=[4],
        ),
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
    max_per_video=_base_.model.max_per_video,
)
