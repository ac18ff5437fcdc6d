# IDOL on YouTube-VIS 2019, tested at 360 pixels as the supplementary says; acts at test time only.
_base_ = "../idol_r50_8xb4-12k_youtubevis2019.py"

val_dataloader = dict(dataset=dict(pipeline=_base_.test_transforms_at[360]))
test_dataloader = val_dataloader
