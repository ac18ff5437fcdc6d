# Seq Mask R-CNN with ResNet-50 and MMDetection's box conventions; 40 classes as in YouTube-VIS.
# Key frames, memory, scores and reduction are those of the released YouTube-VIS models.
_roi_layer = dict(type="RoIAlign", sampling_ratio=2)
_strides = [4, 8, 16, 32]
_proposals = dict(
    nms_pre=200, max_per_img=200, nms=dict(type="nms", iou_threshold=0.7), min_bbox_size=0
)


def _roi_extractor(size):
    return dict(
        type="mmdet.SingleRoIExtractor",
        roi_layer=dict(output_size=size, **_roi_layer),
        out_channels=256,
        featmap_strides=_strides,
    )


model = dict(
    type="visbench.SeqMaskRCNN",
    data_preprocessor=dict(type="visbench.ClipPreprocessor"),
    key_frames=dict(type="visbench.EvenKeyFrames", num_key_frames=5),
    propose=dict(memory_interval=1, feature_store="cpu", mask_iou_threshold=0.2),
    score=dict(type="visbench.MeanOverMask"),
    reduce=[dict(type="visbench.SequenceNMS", iou_threshold=0.5, score_threshold=0.05)],
    score_threshold=0.05,
    loss_prop=dict(type="visbench.SoftIoULoss", loss_weight=1.0),
    prop_head=dict(
        type="visbench.SeqPropHead",
        in_channels=256,
        shallow_channels=(256, 512),
        channels=256,
        encoder_channels=512,
        key_channels=64,
        value_channels=256,
    ),
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
            loss_bbox=dict(type="mmdet.SmoothL1Loss", beta=1.0 / 9.0, loss_weight=1.0),
        ),
        roi_head=dict(
            type="mmdet.StandardRoIHead",
            bbox_roi_extractor=_roi_extractor(7),
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
                loss_bbox=dict(type="mmdet.SmoothL1Loss", beta=1.0, loss_weight=1.0),
            ),
            mask_roi_extractor=_roi_extractor(14),
            mask_head=dict(
                type="visbench.SeqMaskHead",
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
                allowed_border=0,
                pos_weight=-1,
                debug=False,
            ),
            rpn_proposal=_proposals,
            rcnn=dict(
                assigner=dict(
                    type="mmdet.MaxIoUAssigner",
                    pos_iou_thr=0.5,
                    neg_iou_thr=0.5,
                    min_pos_iou=0.5,
                    match_low_quality=False,
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
            rpn=_proposals,
            rcnn=dict(
                score_thr=0.2,
                nms=dict(type="nms", iou_threshold=0.5),
                max_per_img=10,
                mask_thr_binary=0.5,
            ),
        ),
    ),
)
