# Table 6: tracking by detection on CondInst. Data and schedule are those of IAI.
_base_ = "../iai_r50_4xb4-12e_youtubevis2019.py"

model = dict(
    _delete_=True,
    type="visbench.IAITrackingByDetection",
    data_preprocessor=_base_.model.data_preprocessor,
    backbone=_base_.model.backbone,
    neck=_base_.model.neck,
    segmenter=_base_.model.segmenter,
    track_head=dict(
        type="mmdet.RoITrackHead",
        roi_extractor=dict(
            type="mmdet.SingleRoIExtractor",
            roi_layer=dict(type="RoIAlign", output_size=7, sampling_ratio=2),
            out_channels=256,
            featmap_strides=[8, 16, 32],
            finest_scale=112,
        ),
        embed_head=dict(
            type="visbench.SignedRoIEmbedHead",
            num_fcs=2,
            roi_feat_size=7,
            in_channels=256,
            fc_out_channels=1024,
            loss_match=dict(type="mmdet.CrossEntropyLoss", use_sigmoid=False, loss_weight=1.0),
        ),
    ),
    association=dict(max_detections=10),
    max_per_video=_base_.model.max_per_video,
)
