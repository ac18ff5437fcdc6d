# YouTube-VIS 2021: 40 classes, not those of 2019.
_base_ = "./youtube_vis_2019.py"

train_dataloader = dict(
    dataset=dict(type="visbench.YouTubeVIS2021", data_root="data/youtube_vis_2021")
)
val_dataloader = dict(
    dataset=dict(type="visbench.YouTubeVIS2021", data_root="data/youtube_vis_2021")
)
test_dataloader = dict(
    dataset=dict(type="visbench.YouTubeVIS2021", data_root="data/youtube_vis_2021")
)
