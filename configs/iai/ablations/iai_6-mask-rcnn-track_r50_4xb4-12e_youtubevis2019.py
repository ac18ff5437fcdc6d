# Table 6: tracking by detection on Mask R-CNN. Data and schedule are those of IAI.
_base_ = [
    "../iai_mask-rcnn_r50_4xb4-12e_youtubevis2019.py",
    "../../_base_/models/track_head_r50.py",
]

model = dict(
    _delete_=True,
    type="visbench.IAITrackingByDetection",
    data_preprocessor=_base_.model.data_preprocessor,
    backbone=_base_.model.backbone,
    neck=_base_.model.neck,
    segmenter=_base_.model.segmenter,
    track_head={
        **_base_.track_head,
        "roi_extractor": dict(
            **_base_.track_head.roi_extractor, featmap_strides=[4, 8, 16, 32], finest_scale=56
        ),
    },
    association=dict(max_detections=10),
    max_per_video=_base_.model.max_per_video,
)
