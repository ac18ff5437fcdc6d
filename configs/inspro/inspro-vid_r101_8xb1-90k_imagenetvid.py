# InsPro-VID, ResNet-101, ImageNet VID with DET: Table 6a.
_base_ = "./inspro-vid_r50_8xb1-90k_imagenetvid.py"

model = dict(
    backbone=dict(depth=101, init_cfg=dict(type="Pretrained", checkpoint="torchvision://resnet101"))
)
