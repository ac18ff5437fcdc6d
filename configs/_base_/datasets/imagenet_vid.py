# ImageNet VID with still images of DET: 30 classes, boxes only.
# Training mixes clips of both 1:1; a still image is a clip of equal frames. Files as in the original
# archives (data/ILSVRC/{Data,Annotations}/{VID,DET}) or converted to JSON (tools/convert_imagenet.py).
train_transforms = [
    dict(
        type="visbench.ClipBroadcaster",
        share_random_params=True,
        transforms=[
            dict(type="visbench.LoadFrame"),
            dict(type="mmdet.LoadTrackAnnotations", with_mask=False),
            dict(type="mmdet.Resize", scale=(1000, 600), keep_ratio=True),
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
            dict(type="mmdet.Resize", scale=(1000, 600), keep_ratio=True),
        ],
    ),
    dict(type="visbench.PackClip"),
]

data_root = "data/ILSVRC"
_train = dict(
    split="train",
    data_root=data_root,
    clip=dict(type="visbench.SampleClip", num_frames=3, frame_range=None, order="sorted"),
    pipeline=train_transforms,
)
train_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type="visbench.SeededClipSampler"),
    dataset=dict(
        type="visbench.MixedDataset",
        datasets=[
            dict(type="visbench.ImageNetVID", **_train),
            dict(type="visbench.ImageNetDET", **_train),
        ],
        ratios=[1, 1],
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=False, round_up=False),
    dataset=dict(
        type="visbench.ImageNetVID",
        data_root=data_root,
        split="val",
        test_mode=True,
        pipeline=test_transforms,
    ),
)
test_dataloader = val_dataloader

val_evaluator = dict(type="visbench.VISMetric", metric="imagenet_vid")
test_evaluator = val_evaluator
