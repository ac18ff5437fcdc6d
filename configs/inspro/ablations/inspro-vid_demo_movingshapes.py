# InsPro-VID on MovingShapes from scratch: boxes only, measured by box sequences.
_base_ = "../inspro_demo_movingshapes.py"

method_name = "InsPro-VID (boxes)"

model = dict(mask_branch=None)

_train_transforms = [
    dict(
        type="visbench.ClipBroadcaster",
        share_random_params=True,
        transforms=[
            dict(type="visbench.LoadFrame"),
            dict(type="mmdet.LoadTrackAnnotations", with_mask=False),
            dict(type="mmdet.RandomFlip", prob=0.5),
        ],
    ),
    dict(type="visbench.PackClip", require="any"),
]
train_dataloader = dict(dataset=dict(pipeline=_train_transforms))

val_evaluator = dict(metric="imagenet_vid")
test_evaluator = dict(metric="imagenet_vid")
default_hooks = dict(checkpoint=dict(save_best="imagenet_vid/AP"))
