# YouTube-VIS 2022: trained as 2021, longer validation videos. Hold-out: make the two parts once with
#   python tools/split_dataset.py data/youtube_vis_2022/train/instances.json
_base_ = "./youtube_vis_2022.py"

train_dataloader = dict(dataset=dict(split="train_holdout-train"))
val_dataloader = dict(dataset=dict(split="train_holdout-val"))
test_dataloader = dict(dataset=dict(split="train_holdout-val"))
