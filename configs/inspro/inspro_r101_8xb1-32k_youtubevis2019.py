# InsPro, ResNet-101, YouTube-VIS 2019. Start from inspro_r101_8xb2-264k_coco.py.
_base_ = "./inspro_r50_8xb1-32k_youtubevis2019.py"

model = dict(
    backbone=dict(depth=101, init_cfg=dict(type="Pretrained", checkpoint="torchvision://resnet101"))
)
load_from = "checkpoints/inspro_r101_coco.pth"
