# Propose-Reduce, ResNet-50, YouTube-VIS 2021, as released, validated on held-out training videos, which
# the released checkpoints of main training have seen: start from Mask R-CNN here.
_base_ = "./propose-reduce_r50_4xb5-4e_youtubevis2021.py"

train_dataloader = dict(dataset=dict(split="train_holdout-train"))
val_dataloader = dict(dataset=dict(split="train_holdout-val"))
test_dataloader = dict(dataset=dict(split="train_holdout-val"))

load_from = "checkpoints/propose-reduce_mask-rcnn_r50_coco.pth"
