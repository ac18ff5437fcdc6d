# IAI on CondInst, ResNet-50, OVIS, from CondInst on COCO (Table 3, first row).
_base_ = [
    "../_base_/models/iai_condinst_r50.py",
    "../_base_/datasets/ovis.py",
    "../_base_/datasets/iai_clips.py",
    "../_base_/schedules/iai_12e_ovis.py",
]

model = dict(
    num_ids=25,
    max_per_video=50,
    segmenter=dict(num_classes=25, test_cfg=dict(max_per_frame=50)),
)
train_dataloader = dict(
    batch_size=2, dataset=dict(clip=_base_.clip, pipeline=_base_.multi_scale_frames_transforms)
)
