# How IDOL's training pairs are made of videos and of still images, and what test frames look like.
_load = dict(
    type="visbench.ClipBroadcaster",
    transforms=[
        dict(type="visbench.LoadFrame"),
        dict(type="mmdet.LoadTrackAnnotations", with_mask=True),
    ],
)
_flip = dict(type="mmdet.RandomFlip", prob=0.5)
_crop = dict(
    type="mmdet.RandomCrop",
    crop_size=(384, 600),
    crop_type="absolute_range",
    allow_negative_crop=True,
)
# 392, not 384, is what the reference implementation has.
_short_sides = (320, 352, 392, 416, 448, 480, 512, 544, 576, 608, 640)
_scales = dict(
    youtube_vis=[(768, side) for side in _short_sides],
    ovis=[(1333, side) for side in range(480, 801, 32)],
    coco=[(1333, side) for side in _short_sides],
    before_crop=[(100_000, side) for side in (400, 500, 600)],
)
_resize = {
    name: dict(
        type="mmdet.RandomChoiceResize", resize_type="mmdet.Resize", scales=scales, keep_ratio=True
    )
    for name, scales in _scales.items()
}

# Half of the pairs are cropped, every frame by itself; scale and flip are common to both frames.
pair_clip = dict(
    _delete_=True,
    type="visbench.SampleKeyReference",
    num_references=1,
    frame_range=10,
    order="key_first",
    annotated="none",
    key="earliest",
)
pair_transforms = {
    name: [
        _load,
        dict(
            type="visbench.ChooseTransforms",
            transforms=[[], [dict(type="visbench.ClipBroadcaster", transforms=[_crop])]],
        ),
        dict(
            type="visbench.ClipBroadcaster",
            share_random_params=True,
            transforms=[_resize[name], _flip],
        ),
        dict(type="visbench.PackClip", boxes_from_masks=True),
    ]
    for name in ("youtube_vis", "ovis")
}

# Two views of one still image, which share nothing.
image_pair_clip = dict(_delete_=True, type="visbench.SampleClip", num_frames=2, order="key_first")
image_pair_transforms = [
    _load,
    dict(
        type="visbench.ClipBroadcaster",
        transforms=[
            _flip,
            dict(
                type="visbench.ChooseTransforms",
                transforms=[
                    [_resize["coco"]],
                    [_resize["before_crop"], _crop, _resize["coco"]],
                ],
            ),
        ],
    ),
    dict(type="visbench.PackClip"),
]

test_transforms_at = {
    short_side: [
        dict(
            type="visbench.ClipBroadcaster",
            transforms=[
                dict(type="visbench.LoadFrame"),
                dict(type="mmdet.Resize", scale=(1333, short_side), keep_ratio=True),
            ],
        ),
        dict(type="visbench.PackClip"),
    ]
    for short_side in (360, 480, 640, 720, 800)
}
