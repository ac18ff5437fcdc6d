# COCO, 80 classes: every image is a video of one frame, for the pre-training of video methods.
# data/coco/annotations/instances_{train,val}2017.json and data/coco/{train,val}2017/*.jpg
train_transforms = [
    dict(
        type="visbench.ClipBroadcaster",
        share_random_params=True,
        transforms=[
            dict(type="visbench.LoadFrame"),
            dict(type="mmdet.LoadTrackAnnotations", with_mask=True),
            dict(
                type="mmdet.RandomChoiceResize",
                resize_type="mmdet.Resize",
                scales=[(1333, side) for side in range(480, 801, 32)],
                keep_ratio=True,
            ),
            dict(type="mmdet.RandomFlip", prob=0.5),
        ],
    ),
    dict(type="visbench.PackClip", require="any"),
]
test_transforms = [
    dict(
        type="visbench.ClipBroadcaster",
        transforms=[
            dict(type="visbench.LoadFrame"),
            dict(type="mmdet.Resize", scale=(1333, 800), keep_ratio=True),
        ],
    ),
    dict(type="visbench.PackClip"),
]

train_dataloader = dict(
    batch_size=2,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type="visbench.SeededClipSampler"),
    dataset=dict(
        type="visbench.CocoClips",
        data_root="data/coco",
        split="train2017",
        clip=dict(type="visbench.SampleClip", num_frames=1),
        filter_cfg=dict(filter_empty_gt=True, min_size=32),
        pipeline=train_transforms,
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=False, round_up=False),
    dataset=dict(
        type="visbench.CocoClips",
        data_root="data/coco",
        split="val2017",
        test_mode=True,
        pipeline=test_transforms,
    ),
)
test_dataloader = val_dataloader

val_evaluator = dict(type="visbench.CocoImageMetric", metric=["segm", "bbox"])
test_evaluator = val_evaluator
