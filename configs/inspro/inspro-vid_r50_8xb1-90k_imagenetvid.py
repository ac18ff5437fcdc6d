# InsPro-VID, ResNet-50, ImageNet VID with DET: boxes only; 8 GPUs with one clip of 3 frames each.
# Table 6d, T = 100. The paper does not say what training starts from; give a checkpoint of InsPro's
# COCO pre-training as load_from (its weights for masks are not used).
_base_ = [
    "../_base_/models/inspro-vid_r50.py",
    "../_base_/datasets/imagenet_vid.py",
    "../_base_/schedules/inspro-vid_90k.py",
]

method_name = "InsPro-VID"
