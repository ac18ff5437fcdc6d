# YouTube-VIS 2021: 40 classes, not those of 2019. Hold-out: make the two parts once with
#   python tools/split_dataset.py data/youtube_vis_2021/train/instances.json
_base_ = "./youtube_vis_2021.py"

train_dataloader = dict(dataset=dict(split="train_holdout-train"))
val_dataloader = dict(dataset=dict(split="train_holdout-val"))
test_dataloader = dict(dataset=dict(split="train_holdout-val"))
