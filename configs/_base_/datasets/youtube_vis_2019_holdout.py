# YouTube-VIS 2019: 40 classes. Hold-out: make the two parts once with
#   python tools/split_dataset.py data/youtube_vis_2019/train.json
_base_ = "./youtube_vis_2019.py"

train_dataloader = dict(dataset=dict(split="train_holdout-train"))
val_dataloader = dict(dataset=dict(split="train_holdout-val"))
test_dataloader = dict(dataset=dict(split="train_holdout-val"))
