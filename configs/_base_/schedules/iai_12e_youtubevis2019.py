# IAI on YouTube-VIS 2019: 12 epochs with five clips of each of 2,238 videos, 16 clips a step.
_base_ = "../default_runtime.py"

# Training starts from CondInst trained on COCO. MMDetection's checkpoint serves:
#   python tools/convert_checkpoint.py CONFIG --source condinst FILE --out checkpoints/iai_condinst_r50_coco.pth
# It has biases in the towers that IAI's head lacks; model.segmenter.head.conv_bias=True keeps them.
load_from = "checkpoints/iai_condinst_r50_coco.pth"

max_iters = 8_400
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="AdamW", lr=1e-4, weight_decay=1e-4),
    paramwise_cfg=dict(custom_keys={"backbone": dict(lr_mult=0.1, decay_mult=0.9)}),
)
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
default_hooks = dict(checkpoint=dict(interval=700))
auto_scale_lr = dict(base_batch_size=16, enable=False)
