# IAI on OVIS: as for YouTube-VIS 2019, with 607 videos.
_base_ = "./iai_12e_youtubevis2019.py"

max_iters = 2_280
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.001, by_epoch=False, begin=0, end=500),
    dict(
        type="MultiStepLR",
        by_epoch=False,
        begin=0,
        end=max_iters,
        milestones=[max_iters * 8 // 12, max_iters * 11 // 12],
        gamma=0.1,
    ),
]
default_hooks = dict(checkpoint=dict(interval=190))
