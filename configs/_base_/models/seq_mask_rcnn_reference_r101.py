# Seq Mask R-CNN with the conventions of the released checkpoints and ResNet-101.
_base_ = "./seq_mask_rcnn_reference_r50.py"

model = dict(
    detector=dict(
        backbone=dict(
            depth=101, init_cfg=dict(type="Pretrained", checkpoint="torchvision://resnet101")
        )
    )
)
