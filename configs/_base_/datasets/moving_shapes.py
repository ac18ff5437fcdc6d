# MovingShapes, written to data/moving_shapes on first use: 8 classes, frames of 128x192.
# Other presets by one field of a data loader: dataset.preset = "easy", "occluded", "crowded", "long",
# or "mixed" (training only). A method sets its clips by train_dataloader.dataset.clip.num_frames.
train_transforms = [
    dict(
        type="visbench.ClipBroadcaster",
        share_random_params=True,
        transforms=[
            dict(type="visbench.LoadFrame"),
            dict(type="mmdet.LoadTrackAnnotations", with_mask=True),
            dict(type="mmdet.RandomFlip", prob=0.5),
        ],
    ),
    dict(type="visbench.PackClip", require="any"),
]
test_transforms = [
    dict(type="visbench.ClipBroadcaster", transforms=[dict(type="visbench.LoadFrame")]),
    dict(type="visbench.PackClip"),
]

train_dataloader = dict(
    batch_size=2,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type="visbench.SeededClipSampler"),
    dataset=dict(
        type="visbench.MovingShapesDataset",
        preset="easy",
        split="train",
        clip=dict(type="visbench.SampleClip", num_frames=3, frame_range=10, order="sorted"),
        pipeline=train_transforms,
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=False, round_up=False),
    dataset=dict(
        type="visbench.MovingShapesDataset",
        preset="easy",
        split="val",
        test_mode=True,
        pipeline=test_transforms,
    ),
)
test_dataloader = val_dataloader

val_evaluator = dict(type="visbench.VISMetric", metric="youtube_vis")
test_evaluator = val_evaluator
