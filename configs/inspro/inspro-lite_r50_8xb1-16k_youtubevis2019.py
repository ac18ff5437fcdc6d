# InsPro-lite, ResNet-50, YouTube-VIS 2019, key frames every 10 frames at test time.
# This trains the extra stage for non-key frames on top of a trained InsPro, all of which is frozen:
# first train inspro_r50_8xb1-32k_youtubevis2019.py, or name its checkpoint by
# --cfg-options load_from=CHECKPOINT. Clips of 5 frames; the paper does not say how long this phase is.
_base_ = "inspro_r50_8xb1-32k_youtubevis2019.py"

model = dict(
    type="visbench.InsProLite",
    key_frame_interval=10,
    clip_pattern="KKKNN",
    lite_init="stage1",
    backbone=dict(init_cfg=None),  # load_from has its weights
)
train_dataloader = dict(dataset=dict(clip=dict(num_frames=5)))

train_cfg = dict(max_iters=16_000, val_interval=16_000)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=1_000),
    dict(
        type="MultiStepLR",
        by_epoch=False,
        begin=0,
        end=16_000,
        milestones=[12_000, 14_000],
        gamma=0.1,
    ),
]
load_from = "work_dirs/inspro_r50_8xb1-32k_youtubevis2019/iter_32000.pth"
