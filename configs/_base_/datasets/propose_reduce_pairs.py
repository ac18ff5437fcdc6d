# How Propose-Reduce's training pairs and test frames are made. `reference_*`: the boxes and sizes of
# the released checkpoints; the others: MMDetection's boxes and the paper's sizes.


def _pairs(load, resize, flip, **pack):
    return [
        dict(
            type="visbench.ClipBroadcaster",
            share_random_params=True,
            transforms=[
                dict(type="visbench.LoadFrame"),
                dict(type=load, with_mask=True),
                resize,
                dict(type=flip, prob=0.5),
            ],
        ),
        dict(type="visbench.PackClip", require="key", **pack),
    ]


def _reference_pairs(scale):
    return _pairs(
        "visbench.ReferenceLoadTrackAnnotations",
        dict(type="visbench.ReferenceResize", scale=scale),
        "visbench.ReferenceRandomFlip",
        drop_empty=False,
    )


def _paper_pairs(scale):
    resize = dict(type="mmdet.Resize", scale=scale, keep_ratio=True)
    return _pairs("mmdet.LoadTrackAnnotations", resize, "mmdet.RandomFlip")


def _test(scale):
    resize = dict(type="mmdet.Resize", scale=scale, keep_ratio=True)
    frames = [dict(type="visbench.LoadFrame"), resize]
    return [
        dict(type="visbench.ClipBroadcaster", transforms=frames),
        dict(type="visbench.PackClip"),
    ]


reference_transforms = _reference_pairs((640, 360))
reference_davis_transforms = _reference_pairs((854, 480))
paper_transforms = _paper_pairs((640, 320))
paper_davis_transforms = _paper_pairs((854, 480))
paper_test_transforms = _test((640, 320))
davis_test_transforms = _test((854, 480))

# Pseudo videos of main training: three frames of a COCO image, each rotated by up to 30 degrees
# (uniformly, which the paper leaves open), of which a pair is kept. What comes into view has the mean
# of the normalisation, so 0 like the padding. ``target`` is the data set that they are mixed with.
image_clips = dict(
    type="visbench.CocoClips",
    split="train2017",
    clip=dict(type="visbench.SampleClip", num_frames=3),
    filter_cfg=dict(filter_empty_gt=True, min_size=32),
    pipeline=[
        dict(
            type="visbench.ClipBroadcaster",
            transforms=[
                dict(type="visbench.LoadFrame"),
                dict(type="mmdet.LoadTrackAnnotations", with_mask=True),
            ],
        ),
        dict(
            type="visbench.JitterClip",
            transforms=[
                dict(
                    type="mmdet.Rotate",
                    max_mag=30.0,
                    img_border_value=(103.53, 116.28, 123.675),
                )
            ],
        ),
        dict(type="visbench.SelectGuidance"),
        dict(
            type="visbench.ClipBroadcaster",
            share_random_params=True,
            transforms=[
                dict(type="mmdet.Resize", scale=(640, 320), keep_ratio=True),
                dict(type="mmdet.RandomFlip", prob=0.5),
            ],
        ),
        # Boxes of rotated objects are loose; those of their masks are not.
        dict(type="visbench.PackClip", require="key", boxes_from_masks=True),
    ],
)
