# Seq Mask R-CNN with the conventions of the released checkpoints and ResNeXt-101 64x4d.
_base_ = "./seq_mask_rcnn_reference_r50.py"

model = dict(
    detector=dict(
        backbone=dict(
            type="mmdet.ResNeXt",
            depth=101,
            groups=64,
            base_width=4,
            init_cfg=dict(type="Pretrained", checkpoint="open-mmlab://resnext101_64x4d"),
        )
    )
)
