# IDOL, ResNet-50, OVIS, hold-out: 8 GPUs with two pairs each, 12k iterations.
_base_ = [
    "../_base_/models/idol_r50.py",
    "../_base_/datasets/ovis_holdout.py",
    "../_base_/datasets/idol_pairs.py",
    "../_base_/schedules/idol_12k.py",
]

model = dict(
    head=dict(num_classes=25),
    association=dict(tracker=dict(nms_threshold=0.3, new_threshold=0.3)),
)
train_dataloader = dict(
    batch_size=2,
    dataset=dict(clip=_base_.pair_clip, filter_cfg=None, pipeline=_base_.pair_transforms.ovis),
)
val_dataloader = dict(dataset=dict(pipeline=_base_.test_transforms_at[720]))
test_dataloader = val_dataloader
auto_scale_lr = dict(base_batch_size=16)
