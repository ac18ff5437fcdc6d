# IDOL with ResNet-101.
_base_ = "./idol_r50.py"

model = dict(
    backbone=dict(depth=101, init_cfg=dict(type="Pretrained", checkpoint="torchvision://resnet101"))
)
