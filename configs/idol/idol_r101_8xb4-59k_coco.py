# IDOL, ResNet-101, COCO: pseudo pairs of two independent views of every image, as pre-training for
# videos. Its test is that of still images. Not released; settings are those of ResNet-50.
_base_ = "./idol_r50_8xb4-59k_coco.py"

model = dict(
    backbone=dict(depth=101, init_cfg=dict(type="Pretrained", checkpoint="torchvision://resnet101"))
)
