# Seq Mask R-CNN with the box and RoI conventions of the released checkpoints (MMDetection 1).
_base_ = "./seq_mask_rcnn_r50.py"

_inclusive_nms = dict(type="nms", offset=1)
_assigner = dict(iou_calculator=dict(type="mmdet.BboxOverlaps2D_GLIP"))  # counts both end pixels

model = dict(
    detector=dict(
        rpn_head=dict(
            type="visbench.ReferenceRPNHead",
            anchor_generator=dict(type="mmdet.LegacyAnchorGenerator", center_offset=0.5),
            bbox_coder=dict(type="visbench.ReferenceBoxCoder"),
        ),
        roi_head=dict(
            bbox_roi_extractor=dict(type="visbench.ReferenceRoIExtractor"),
            bbox_head=dict(
                type="visbench.ReferenceBBoxHead",
                bbox_coder=dict(type="visbench.ReferenceBoxCoder"),
            ),
            mask_roi_extractor=dict(type="visbench.ReferenceRoIExtractor"),
            mask_head=dict(type="visbench.ReferenceMaskHead"),
        ),
        train_cfg=dict(
            rpn=dict(assigner=_assigner),
            rpn_proposal=dict(nms=_inclusive_nms, min_bbox_size=-1),
            rcnn=dict(
                assigner=dict(match_low_quality=True, **_assigner),
                sampler=dict(type="visbench.ReferenceSampler"),
            ),
        ),
        test_cfg=dict(
            rpn=dict(nms=_inclusive_nms, min_bbox_size=-1),
            rcnn=dict(nms=_inclusive_nms),
        ),
    ),
)
