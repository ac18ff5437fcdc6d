# MaskTrack R-CNN, ResNet-50, YouTube-VIS 2021: as for 2019 (90,160 frames: about 135,200 iterations).
_base_ = ["./masktrack_rcnn_r50_8xb1-12e_youtubevis2019.py"]

train_dataloader = dict(
    dataset=dict(type="visbench.YouTubeVIS2021", data_root="data/youtube_vis_2021")
)
val_dataloader = dict(
    dataset=dict(type="visbench.YouTubeVIS2021", data_root="data/youtube_vis_2021")
)
test_dataloader = dict(
    dataset=dict(type="visbench.YouTubeVIS2021", data_root="data/youtube_vis_2021")
)

max_iters = 135_200
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
param_scheduler = [
    dict(type="LinearLR", start_factor=1.0 / 3.0, by_epoch=False, begin=0, end=500),
    dict(
        type="MultiStepLR",
        by_epoch=False,
        begin=0,
        end=max_iters,
        milestones=[max_iters * 8 // 12, max_iters * 11 // 12],
        gamma=0.1,
    ),
]
