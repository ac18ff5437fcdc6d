# Propose-Reduce, ResNet-50, YouTube-VIS 2019, as in the paper, validated on held-out training videos.
# Starts from Mask R-CNN: main training has seen these videos unless it is given the same split.
_base_ = "./propose-reduce-paper_r50_6xb5-5e_youtubevis2019.py"

train_dataloader = dict(dataset=dict(split="train_holdout-train"))
val_dataloader = dict(dataset=dict(split="train_holdout-val"))
test_dataloader = dict(dataset=dict(split="train_holdout-val"))

load_from = "checkpoints/propose-reduce_mask-rcnn_r50_coco.pth"
