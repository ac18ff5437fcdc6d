# InsPro's Table 2d, tracking by detection, on MovingShapes: frames are independent, identities come from a
# track head. Data, schedule and detector are those of InsPro's demo.
_base_ = "../inspro_demo_movingshapes.py"

method_name = "InsPro, tracking by detection"

model = dict(
    type="visbench.InsProTrackingByDetection",
    head=dict(propagate_query=False, propagate_proposal=False, bank_size=1),
    criterion=dict(tcm=False, dedup_beta=0.0),
    track_head=dict(
        type="mmdet.RoITrackHead",
        roi_extractor=dict(
            type="mmdet.SingleRoIExtractor",
            roi_layer=dict(type="RoIAlign", output_size=7, sampling_ratio=2),
            out_channels={{_base_.channels}},
            featmap_strides={{_base_.model.head.strides}},
            finest_scale={{_base_.model.head.finest_scale}},
        ),
        # Few channels and average pooling as in the demo of MaskTrack R-CNN, for a short training.
        # With weight 1 the gradient of an untrained track head outweighs the detector's by far when
        # clips begin, and clipping gradients would then stop the detector.
        embed_head=dict(
            type="visbench.SignedRoIEmbedHead",
            num_fcs=2,
            with_avg_pool=True,
            roi_feat_size=7,
            in_channels={{_base_.channels}},
            fc_out_channels=128,
            loss_match=dict(type="mmdet.CrossEntropyLoss", use_sigmoid=False, loss_weight=0.05),
        ),
    ),
    association=dict(max_detections=20),
    # A slot is a detection from this class probability on.
    test_cfg=dict(frame_score_thr=0.05),
)
