# Mask2Former-VIS, ResNet-50, YouTube-VIS 2019: 8 GPUs with two clips of 2 frames each, 6k iterations
# as in MMDetection, from its Mask2Former trained on COCO.
_base_ = [
    "../_base_/models/mask2former_vis_r50.py",
    "../_base_/datasets/youtube_vis_2019.py",
    "../_base_/default_runtime.py",
]

model = dict(
    init_cfg=dict(
        type="Pretrained",
        checkpoint="https://download.openmmlab.com/mmdetection/v3.0/mask2former/mask2former_r50_8xb2-lsj-50e_coco/mask2former_r50_8xb2-lsj-50e_coco_20220506_191028-41b088b6.pth",
    )
)

_train_transforms = [
    dict(
        type="visbench.ClipBroadcaster",
        share_random_params=True,
        transforms=[
            dict(type="visbench.LoadFrame"),
            dict(type="mmdet.LoadTrackAnnotations", with_mask=True),
            dict(type="mmdet.Resize", scale=(640, 360), keep_ratio=True),
            dict(type="mmdet.RandomFlip", prob=0.5),
        ],
    ),
    dict(type="visbench.PackClip", require="any"),
]
train_dataloader = dict(
    batch_size=2,
    dataset=dict(clip=dict(num_frames=2, frame_range=100), pipeline=_train_transforms),
)

max_iters = 6_000
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
_embedding = dict(lr_mult=1.0, decay_mult=0.0)
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="AdamW", lr=1e-4, weight_decay=0.05, eps=1e-8, betas=(0.9, 0.999)),
    paramwise_cfg=dict(
        custom_keys=dict(
            backbone=dict(lr_mult=0.1, decay_mult=1.0),
            query_embed=_embedding,
            query_feat=_embedding,
            level_embed=_embedding,
        ),
        norm_decay_mult=0.0,
    ),
    clip_grad=dict(max_norm=0.01, norm_type=2),
)
param_scheduler = [
    dict(type="MultiStepLR", by_epoch=False, begin=0, end=max_iters, milestones=[4_000], gamma=0.1)
]
default_hooks = dict(checkpoint=dict(interval=2_000))
auto_scale_lr = dict(base_batch_size=16, enable=False)
