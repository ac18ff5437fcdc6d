# Mask R-CNN for MovingShapes from scratch: half-width ResNet-18 with GroupNorm, three pyramid levels of
# 64 channels, anchors of 20 to 50 pixels. A method sets its model's type and adds its own parts.
num_classes = 8
channels = 64
_strides = [4, 8, 16]
_norm = dict(type="GN", num_groups=8)
_coder = dict(type="mmdet.DeltaXYWHBBoxCoder", target_means=[0.0] * 4)
_proposals = dict(
    nms_pre=100, max_per_img=32, nms=dict(type="nms", iou_threshold=0.7), min_bbox_size=4
)
_roi_assigner = dict(
    type="mmdet.MaxIoUAssigner",
    pos_iou_thr=0.5,
    neg_iou_thr=0.5,
    min_pos_iou=0.5,
    match_low_quality=False,
    ignore_iof_thr=-1,
)
_roi_sampler = dict(
    type="mmdet.RandomSampler", num=24, pos_fraction=0.34, neg_pos_ub=-1, add_gt_as_proposals=True
)


def _roi_extractor(size):
    return dict(
        type="mmdet.SingleRoIExtractor",
        roi_layer=dict(type="RoIAlign", output_size=size, sampling_ratio=1),
        out_channels=channels,
        featmap_strides=[4],
    )


model = dict(
    data_preprocessor=dict(type="visbench.ClipPreprocessor"),
    detector=dict(
        type="mmdet.MaskRCNN",
        backbone=dict(
            type="mmdet.ResNet",
            depth=18,
            base_channels=32,
            stem_channels=32,
            num_stages=3,
            strides=(1, 2, 2),
            dilations=(1, 1, 1),
            out_indices=(0, 1, 2),
            norm_cfg=_norm,
            norm_eval=False,
            # Blocks that start as identities learn too little in a few hundred steps.
            zero_init_residual=False,
        ),
        neck=dict(
            type="mmdet.FPN",
            in_channels=[32, 64, 128],
            out_channels=channels,
            num_outs=3,
            norm_cfg=_norm,
        ),
        rpn_head=dict(
            type="mmdet.RPNHead",
            in_channels=channels,
            feat_channels=32,
            anchor_generator=dict(
                type="mmdet.AnchorGenerator",
                scales=[1.0],
                base_sizes=[20, 32, 50],
                ratios=[1.0],
                strides=_strides,
            ),
            bbox_coder=dict(target_stds=[1.0] * 4, **_coder),
            loss_cls=dict(type="mmdet.CrossEntropyLoss", use_sigmoid=True, loss_weight=1.0),
            loss_bbox=dict(type="mmdet.L1Loss", loss_weight=1.0),
        ),
        roi_head=dict(
            type="mmdet.StandardRoIHead",
            bbox_roi_extractor=_roi_extractor(7),
            bbox_head=dict(
                type="mmdet.ConvFCBBoxHead",
                num_shared_convs=2,
                num_shared_fcs=1,
                norm_cfg=_norm,
                in_channels=channels,
                conv_out_channels=channels,
                fc_out_channels=256,
                roi_feat_size=7,
                num_classes=num_classes,
                bbox_coder=dict(target_stds=[0.1, 0.1, 0.2, 0.2], **_coder),
                reg_class_agnostic=True,
                loss_cls=dict(type="mmdet.CrossEntropyLoss", use_sigmoid=False, loss_weight=1.0),
                loss_bbox=dict(type="mmdet.L1Loss", loss_weight=1.0),
            ),
            mask_roi_extractor=_roi_extractor(14),
            mask_head=dict(
                type="mmdet.FCNMaskHead",
                num_convs=2,
                in_channels=channels,
                conv_out_channels=32,
                norm_cfg=_norm,
                num_classes=num_classes,
                class_agnostic=True,
                loss_mask=dict(type="mmdet.CrossEntropyLoss", use_mask=True, loss_weight=1.0),
            ),
        ),
        train_cfg=dict(
            rpn=dict(
                assigner=dict(
                    type="mmdet.MaxIoUAssigner",
                    pos_iou_thr=0.5,
                    neg_iou_thr=0.3,
                    min_pos_iou=0.3,
                    match_low_quality=True,
                    ignore_iof_thr=-1,
                ),
                sampler=dict(
                    type="mmdet.RandomSampler",
                    num=64,
                    pos_fraction=0.5,
                    neg_pos_ub=-1,
                    add_gt_as_proposals=False,
                ),
                allowed_border=-1,
                pos_weight=-1,
                debug=False,
            ),
            rpn_proposal=_proposals,
            rcnn=dict(
                assigner=_roi_assigner,
                sampler=_roi_sampler,
                mask_size=28,
                pos_weight=-1,
                debug=False,
            ),
        ),
        test_cfg=dict(
            rpn=_proposals,
            rcnn=dict(
                score_thr=0.05,
                # One class per box; the class of a track is decided over all of its frames.
                nms=dict(type="nms", iou_threshold=0.5, class_agnostic=True),
                max_per_img=8,
                mask_thr_binary=0.5,
            ),
        ),
    ),
)
