# OVIS: 25 classes, heavy occlusion; validation annotations are not public.
_base_ = "./youtube_vis_2019.py"

train_dataloader = dict(dataset=dict(type="visbench.OVIS", data_root="data/ovis"))
val_dataloader = dict(dataset=dict(type="visbench.OVIS", data_root="data/ovis"))
test_dataloader = dict(dataset=dict(type="visbench.OVIS", data_root="data/ovis"))
