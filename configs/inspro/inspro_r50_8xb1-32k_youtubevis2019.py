# InsPro, ResNet-50, YouTube-VIS 2019: 8 GPUs with one clip of 3 frames each, 32k iterations.
# The paper starts from its own COCO pre-training (Table 5); give it as load_from.
_base_ = [
    "../_base_/models/inspro_r50.py",
    "../_base_/datasets/youtube_vis_2019.py",
    "../_base_/default_runtime.py",
]

_train_transforms = [
    dict(
        type="visbench.ClipBroadcaster",
        share_random_params=True,
        transforms=[
            dict(type="visbench.LoadFrame"),
            dict(type="mmdet.LoadTrackAnnotations", with_mask=True),
            dict(
                type="mmdet.RandomChoiceResize",
                resize_type="mmdet.Resize",
                scales=[(768, side) for side in range(288, 513, 32)],
                keep_ratio=True,
            ),
            dict(type="mmdet.RandomFlip", prob=0.5),
        ],
    ),
    dict(type="visbench.PackClip", require="any"),
]
train_dataloader = dict(batch_size=1, dataset=dict(pipeline=_train_transforms))

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
