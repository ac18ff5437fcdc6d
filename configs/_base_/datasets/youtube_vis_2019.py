# YouTube-VIS 2019: 40 classes.
# Train on all of `train`; validation and test run on `valid`, whose annotations are not public: they
# only write results for a submission. youtube_vis_2019_holdout.py measures on held-out training videos.
# A method sets its clips by one field, for instance train_dataloader.dataset.clip.num_frames=5.
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
                scales=[(640, 288), (640, 320), (640, 352), (640, 384), (640, 416), (640, 448)],
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
            dict(type="mmdet.Resize", scale=(640, 360), keep_ratio=True),
        ],
    ),
    dict(type="visbench.PackClip"),
]

train_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type="visbench.SeededClipSampler"),
    dataset=dict(
        type="visbench.YouTubeVIS2019",
        data_root="data/youtube_vis_2019",
        split="train",
        clip=dict(type="visbench.SampleClip", num_frames=3, frame_range=None, order="sorted"),
        filter_cfg=dict(filter_empty_gt=True, min_size=32),
        pipeline=train_transforms,
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=False, round_up=False),
    dataset=dict(
        type="visbench.YouTubeVIS2019",
        data_root="data/youtube_vis_2019",
        split="valid",
        test_mode=True,
        pipeline=test_transforms,
    ),
)
test_dataloader = val_dataloader

val_evaluator = dict(type="visbench.VISMetric", metric="youtube_vis")
test_evaluator = val_evaluator
