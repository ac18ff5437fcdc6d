# MaskTrack R-CNN, ResNet-50, YouTube-VIS 2019: 8 GPUs with one pair of frames each, 12 epochs as in
# MMDetection (61,845 frames, 8 pairs a step: about 92,800 iterations).
_base_ = [
    "../_base_/models/masktrack_rcnn_r50.py",
    "../_base_/datasets/youtube_vis_2019.py",
    "../_base_/default_runtime.py",
]

model = dict(
    detector=dict(
        init_cfg=dict(
            type="Pretrained",
            checkpoint="https://download.openmmlab.com/mmdetection/v2.0/mask_rcnn/mask_rcnn_r50_fpn_1x_coco/mask_rcnn_r50_fpn_1x_coco_20200205-d4b0c5d6.pth",
        )
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
    batch_size=1,
    dataset=dict(
        clip=dict(
            _delete_=True, type="visbench.SampleKeyReference", num_references=1, frame_range=100
        ),
        pipeline=_train_transforms,
    ),
)

max_iters = 92_800
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="SGD", lr=0.00125, momentum=0.9, weight_decay=0.0001),
    clip_grad=dict(max_norm=35, norm_type=2),
)
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
default_hooks = dict(checkpoint=dict(interval=8_000))
auto_scale_lr = dict(base_batch_size=8, enable=False)
