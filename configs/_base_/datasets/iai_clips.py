# How IAI's training clips are made: five frames with objects, gaps of at most three; each frame is
# flipped or not by itself.
clip = dict(_delete_=True, type="visbench.SampleGapClip", num_frames=5, max_gap=3, annotated="all")
_load = dict(
    type="visbench.ClipBroadcaster",
    transforms=[
        dict(type="visbench.LoadFrame"),
        dict(type="mmdet.LoadTrackAnnotations", with_mask=True),
    ],
)
_flip = dict(type="visbench.ClipBroadcaster", transforms=[dict(type="mmdet.RandomFlip", prob=0.5)])
_pack = dict(type="visbench.PackClip", require="any")
_fixed = dict(type="mmdet.Resize", scale=(640, 360), keep_ratio=True)
# 649 is the reference implementation's; long and short side are drawn independently.
_range = dict(
    type="mmdet.RandomResize",
    resize_type="mmdet.Resize",
    scale=[(649, 360), (960, 480)],
    keep_ratio=True,
)
single_scale_transforms = [
    _load,
    dict(type="visbench.ClipBroadcaster", transforms=[_fixed]),
    _flip,
    _pack,
]
multi_scale_transforms = [
    _load,
    dict(type="visbench.ClipBroadcaster", share_random_params=True, transforms=[_range]),
    _flip,
    _pack,
]
# OVIS: the frames of a clip differ in size.
multi_scale_frames_transforms = [
    _load,
    dict(type="visbench.ClipBroadcaster", transforms=[_range]),
    _flip,
    _pack,
]
