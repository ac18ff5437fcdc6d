# IDOL on videos: AdamW for 12k iterations, step down at 8k, gradients clipped to 0.01.
_base_ = "../default_runtime.py"

# Training starts from pseudo pairs of COCO images; either from the released weights or our own:
#   python tools/convert_checkpoint.py CONFIG --source vnext cocopretrain_R50.pth \
#       --out checkpoints/idol_r50_coco.pth
#   python tools/train.py configs/idol/idol_r50_8xb4-59k_coco.py
# where CONFIG is the one to train. --cfg-options load_from=None starts from the backbone alone.
load_from = "checkpoints/idol_r50_coco.pth"

train_cfg = dict(max_iters=12_000, val_interval=12_000)
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="AdamW", lr=1e-4, weight_decay=1e-4),
    paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.1))),
    clip_grad=dict(max_norm=0.01),
)
param_scheduler = [
    dict(type="MultiStepLR", by_epoch=False, begin=0, end=12_000, milestones=[8_000], gamma=0.1)
]
default_hooks = dict(checkpoint=dict(interval=1_000))
# The supplementary says 16 pairs; the reference implementation takes 32 on YouTube-VIS.
auto_scale_lr = dict(base_batch_size=32, enable=False)
