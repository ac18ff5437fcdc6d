# InsPro's Table 2d, tracking by detection: frames are independent, identities come from a track head.
# Data and schedule are those of InsPro.
_base_ = "../inspro_r50_8xb1-32k_youtubevis2019.py"

model = dict(
    type="visbench.InsProTrackingByDetection",
    head=dict(propagate_query=False, propagate_proposal=False, bank_size=1),
    criterion=dict(tcm=False, dedup_beta=0.0),
    track_head=dict(
        type="mmdet.RoITrackHead",
        roi_extractor=dict(
            type="mmdet.SingleRoIExtractor",
            roi_layer=dict(type="RoIAlign", output_size=7, sampling_ratio=2),
            out_channels=256,
            featmap_strides=[4, 8, 16, 32],
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
    association=dict(
        score_weight=1.0, iou_weight=2.0, label_weight=10.0, max_detections=20, max_instances=100
    ),
    # A slot is a detection from this class probability on.
    test_cfg=dict(frame_score_thr=0.05),
)
