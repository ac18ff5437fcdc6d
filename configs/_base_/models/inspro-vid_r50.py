# InsPro-VID: InsPro without masks; 30 classes, and a feature bank for long videos.
_base_ = "./inspro_r50.py"

model = dict(mask_branch=None, head=dict(num_classes=30, bank_size=100))
