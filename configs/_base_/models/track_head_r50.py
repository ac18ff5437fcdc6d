# Track head of MaskTrack R-CNN on a pyramid of 256 channels, for IAI's baselines (Table 6). The regions'
# levels are the config's own.
track_head = dict(
    type="mmdet.RoITrackHead",
    roi_extractor=dict(
        type="mmdet.SingleRoIExtractor",
        roi_layer=dict(type="RoIAlign", output_size=7, sampling_ratio=2),
        out_channels=256,
    ),
    embed_head=dict(
        type="visbench.SignedRoIEmbedHead",
        num_fcs=2,
        roi_feat_size=7,
        in_channels=256,
        fc_out_channels=1024,
        loss_match=dict(type="mmdet.CrossEntropyLoss", use_sigmoid=False, loss_weight=1.0),
    ),
)
