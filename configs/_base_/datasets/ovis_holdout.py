# OVIS: 25 classes, heavy occlusion. Hold-out: make the two parts once with
#   python tools/split_dataset.py data/ovis/annotations_train.json
_base_ = "./ovis.py"

train_dataloader = dict(dataset=dict(split="train_holdout-train"))
val_dataloader = dict(dataset=dict(split="train_holdout-val"))
test_dataloader = dict(dataset=dict(split="train_holdout-val"))
