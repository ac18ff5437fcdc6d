# InsPro on videos: AdamW for 32k iterations of 8 clips, steps down at 24k and 28k.
_base_ = "../default_runtime.py"

# Training starts from InsPro's own pre-training on COCO:
#   python tools/train.py configs/inspro/inspro_r50_8xb2-264k_coco.py
#   python tools/convert_checkpoint.py CONFIG --source inspro \
#       work_dirs/inspro_r50_8xb2-264k_coco/iter_264000.pth --out checkpoints/inspro_r50_coco.pth
# where CONFIG is the one to train; the file suits every InsPro config with the same backbone.
# MMDetection's detectors give a substitute without masks in the stages (--source sparse_rcnn FILE
# --source condinst FILE); --cfg-options load_from=None starts from the backbone's weights alone.
load_from = "checkpoints/inspro_r50_coco.pth"

train_cfg = dict(max_iters=32_000, val_interval=32_000)
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="AdamW", lr=2.5e-5, weight_decay=1e-4),
    clip_grad=dict(max_norm=1.0, norm_type=2),
)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=1_000),
    dict(
        type="MultiStepLR",
        by_epoch=False,
        begin=0,
        end=32_000,
        milestones=[24_000, 28_000],
        gamma=0.1,
    ),
]
default_hooks = dict(checkpoint=dict(interval=4_000))
auto_scale_lr = dict(base_batch_size=8, enable=False)
