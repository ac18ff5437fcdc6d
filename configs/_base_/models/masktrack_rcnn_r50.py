# MaskTrack R-CNN with ResNet-50 as in MMDetection; 40 classes as in YouTube-VIS.
_roi_layer = dict(type="RoIAlign", sampling_ratio=0)
_strides = [4, 8, 16, 32]

model = dict(
    type="visbench.MaskTrackRCNN",
    data_preprocessor=dict(type="visbench.ClipPreprocessor"),
    detector=dict(
        type="mmdet.MaskRCNN",
        backbone=dict(
            type="mmdet.ResNet",
            depth=50,
            num_stages=4,
            out_indices=(0, 1, 2, 3),
            frozen_stages=1,
            norm_cfg=dict(type="BN", requires_grad=True),
            norm_eval=True,
            style="pytorch",
            init_cfg=dict(type="Pretrained", checkpoint="torchvision://resnet50"),
        ),
        neck=dict(
            type="mmdet.FPN", in_channels=[256, 512, 1024, 2048], out_channels=256, num_outs=5
        ),
        rpn_head=dict(
            type="mmdet.RPNHead",
            in_channels=256,
            feat_channels=256,
            anchor_generator=dict(
                type="mmdet.AnchorGenerator",
                scales=[8],
                ratios=[0.5, 1.0, 2.0],
                strides=[4, 8, 16, 32, 64],
            ),
            bbox_coder=dict(
                type="mmdet.DeltaXYWHBBoxCoder",
                target_means=[0.0, 0.0, 0.0, 0.0],
                target_stds=[1.0, 1.0, 1.0, 1.0],
            ),
            loss_cls=dict(type="mmdet.CrossEntropyLoss", use_sigmoid=True, loss_weight=1.0),
            loss_bbox=dict(type="mmdet.L1Loss", loss_weight=1.0),
        ),
        roi_head=dict(
            type="mmdet.StandardRoIHead",
            bbox_roi_extractor=dict(
                type="mmdet.SingleRoIExtractor",
                roi_layer=dict(output_size=7, **_roi_layer),
                out_channels=256,
                featmap_strides=_strides,
            ),
            bbox_head=dict(
                type="mmdet.Shared2FCBBoxHead",
                in_channels=256,
                fc_out_channels=1024,
                roi_feat_size=7,
                num_classes=40,
                bbox_coder=dict(
                    type="mmdet.DeltaXYWHBBoxCoder",
                    target_means=[0.0, 0.0, 0.0, 0.0],
                    target_stds=[0.1, 0.1, 0.2, 0.2],
                ),
                reg_class_agnostic=False,
                loss_cls=dict(type="mmdet.CrossEntropyLoss", use_sigmoid=False, loss_weight=1.0),
                loss_bbox=dict(type="mmdet.L1Loss", loss_weight=1.0),
            ),
            mask_roi_extractor=dict(
                type="mmdet.SingleRoIExtractor",
                roi_layer=dict(output_size=14, **_roi_layer),
                out_channels=256,
                featmap_strides=_strides,
            ),
            mask_head=dict(
                type="mmdet.FCNMaskHead",
                num_convs=4,
                in_channels=256,
                conv_out_channels=256,
                num_classes=40,
                loss_mask=dict(type="mmdet.CrossEntropyLoss", use_mask=True, loss_weight=1.0),
            ),
        ),
        train_cfg=dict(
            rpn=dict(
                assigner=dict(
                    type="mmdet.MaxIoUAssigner",
                    pos_iou_thr=0.7,
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
            rpn_proposal=dict(
                nms_pre=200,
                max_per_img=200,
                nms=dict(type="nms", iou_threshold=0.7),
                min_bbox_size=0,
            ),
            rcnn=dict(
                assigner=dict(
                    type="mmdet.MaxIoUAssigner",
                    pos_iou_thr=0.5,
                    neg_iou_thr=0.5,
                    min_pos_iou=0.5,
                    match_low_quality=True,
                    ignore_iof_thr=-1,
                ),
                sampler=dict(
                    type="mmdet.RandomSampler",
                    num=128,
                    pos_fraction=0.25,
                    neg_pos_ub=-1,
                    add_gt_as_proposals=True,
                ),
                mask_size=28,
                pos_weight=-1,
                debug=False,
            ),
        ),
        test_cfg=dict(
            rpn=dict(
                nms_pre=200,
                max_per_img=200,
                nms=dict(type="nms", iou_threshold=0.7),
                min_bbox_size=0,
            ),
            rcnn=dict(
                score_thr=0.01,
                nms=dict(type="nms", iou_threshold=0.5),
                max_per_img=100,
                mask_thr_binary=0.5,
            ),
        ),
    ),
    track_head=dict(
        type="mmdet.RoITrackHead",
        roi_extractor=dict(
            type="mmdet.SingleRoIExtractor",
            roi_layer=dict(output_size=7, **_roi_layer),
            out_channels=256,
            featmap_strides=_strides,
        ),
        embed_head=dict(
            type="mmdet.RoIEmbedHead",
            num_fcs=2,
            roi_feat_size=7,
            in_channels=256,
            fc_out_channels=1024,
        ),
        train_cfg=dict(
            assigner=dict(
                type="mmdet.MaxIoUAssigner",
                pos_iou_thr=0.5,
                neg_iou_thr=0.5,
                min_pos_iou=0.5,
                match_low_quality=True,
                ignore_iof_thr=-1,
            ),
            sampler=dict(
                type="mmdet.RandomSampler",
                num=128,
                pos_fraction=0.25,
                neg_pos_ub=-1,
                add_gt_as_proposals=True,
            ),
            pos_weight=-1,
            debug=False,
        ),
    ),
    tracker=dict(
        type="mmdet.MaskTrackRCNNTracker",
        match_weights=dict(det_score=1.0, iou=2.0, det_label=10.0),
        num_frames_retain=20,
    ),
)
