# Mask2Former-VIS, ResNet-50, YouTube-VIS 2021: as for 2019 with 8k iterations, as in MMDetection.
_base_ = ["./mask2former_vis_r50_8xb2-6k_youtubevis2019.py"]

train_dataloader = dict(
    dataset=dict(type="visbench.YouTubeVIS2021", data_root="data/youtube_vis_2021")
)
val_dataloader = dict(
    dataset=dict(type="visbench.YouTubeVIS2021", data_root="data/youtube_vis_2021")
)
test_dataloader = dict(
    dataset=dict(type="visbench.YouTubeVIS2021", data_root="data/youtube_vis_2021")
)

max_iters = 8_000
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
param_scheduler = [
    dict(type="MultiStepLR", by_epoch=False, begin=0, end=max_iters, milestones=[5_500], gamma=0.1)
]
