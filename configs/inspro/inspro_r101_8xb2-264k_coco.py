# InsPro, ResNet-101, COCO: still images, for pre-training.
_base_ = "./inspro_r50_8xb2-264k_coco.py"

model = dict(
    backbone=dict(depth=101, init_cfg=dict(type="Pretrained", checkpoint="torchvision://resnet101"))
)
