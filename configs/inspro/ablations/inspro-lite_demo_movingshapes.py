# InsPro-lite on MovingShapes: the extra stage for non-key frames on top of the trained InsPro of
# inspro_demo_movingshapes.py, all of which is frozen. Train that one first:
#   python tools/train.py configs/inspro/inspro_demo_movingshapes.py
#   python tools/train.py configs/inspro/ablations/inspro-lite_demo_movingshapes.py
# or name a checkpoint of it by --cfg-options load_from=CHECKPOINT. `tools/benchmark.py compare` runs this
# config as the second command does; training of the first phase is not in its time, and every seed
# starts from that one checkpoint.
_base_ = "../inspro_demo_movingshapes.py"

method_name = "InsPro-lite"
model = dict(
    type="visbench.InsProLite", key_frame_interval=10, clip_pattern="KKKNN", lite_init="stage1"
)

lite_iters = 200
train_dataloader = dict(
    dataset=dict(clip=dict(_delete_=True, type="visbench.SampleClip", num_frames=5, frame_range=6))
)
train_cfg = dict(max_iters=lite_iters, val_interval=lite_iters)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=20),
    dict(type="CosineAnnealingLR", by_epoch=False, T_max=lite_iters, eta_min=2e-5),
]
default_hooks = dict(checkpoint=dict(interval=lite_iters))
load_from = f"work_dirs/inspro_demo_movingshapes/iter_{_base_.train_cfg.max_iters}.pth"
