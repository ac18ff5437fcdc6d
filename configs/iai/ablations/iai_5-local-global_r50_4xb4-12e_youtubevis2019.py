# IAI, Table 5: both memories, no classification projector.
_base_ = "../iai_r50_4xb4-12e_youtubevis2019.py"

model = dict(
    association=dict(classification_channels=0),
    neck=dict(in_channels=[256, 512, 1024, 512]),
)
