# YouTube-VIS 2022: trained as 2021, longer validation videos.
_base_ = "./youtube_vis_2019.py"

train_dataloader = dict(
    dataset=dict(type="visbench.YouTubeVIS2022", data_root="data/youtube_vis_2022")
)
val_dataloader = dict(
    dataset=dict(type="visbench.YouTubeVIS2022", data_root="data/youtube_vis_2022")
)
test_dataloader = dict(
    dataset=dict(type="visbench.YouTubeVIS2022", data_root="data/youtube_vis_2022")
)
