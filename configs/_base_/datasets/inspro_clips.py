# How InsPro's training clips are made: resize and flip only, the same for all frames, since its
# proposals are positions. Clips of still images (COCO) first get a view of their own per frame.
_load = dict(
    type="visbench.ClipBroadcaster",
    transforms=[
        dict(type="visbench.LoadFrame"),
        dict(type="mmdet.LoadTrackAnnotations", with_mask=True),
    ],
)
_augment = dict(
    type="visbench.ClipBroadcaster",
    share_random_params=True,
    transforms=[
        dict(
            type="mmdet.RandomChoiceResize",
            resize_type="mmdet.Resize",
            scales=[(768, side) for side in range(288, 513, 32)],
            keep_ratio=True,
        ),
        dict(type="mmdet.RandomFlip", prob=0.5),
    ],
)
# coco_clip="identical" leaves out what only still images need.
_jitter = dict(
    type="visbench.JitterClip",
    coco_clip="jitter",
    transforms=[
        dict(type="mmdet.Rotate", max_mag=10.0),
        dict(
            type="mmdet.RandomCrop",
            crop_size=(0.8, 0.8),
            crop_type="relative_range",
            allow_negative_crop=True,
        ),
    ],
)
video_clip_transforms = [_load, _augment, dict(type="visbench.PackClip", require="any")]
image_clip_transforms = [
    *(_load, _jitter, _augment),
    # Boxes of rotated objects are loose; those of their masks are not.
    dict(type="visbench.PackClip", require="any", boxes_from_masks=True),
]

# What is mixed 1 : 1 with the videos of a data set in the rows marked (C); ``target`` is the data set.
# Plain copies in place of views:
#   --cfg-options train_dataloader.dataset.datasets.1.pipeline.1.coco_clip=identical
image_clips = dict(
    type="visbench.CocoClips",
    split="train2017",
    clip=dict(type="visbench.SampleClip", num_frames=3, frame_range=None, order="sorted"),
    filter_cfg=dict(filter_empty_gt=True, min_size=32),
    pipeline=image_clip_transforms,
)
