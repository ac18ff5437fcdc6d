# InsPro, ResNet-50, COCO: still images, for pre-training and as a detector of its own (36 epochs of
# the 117,266 images with objects, 16 a step; steps down after epochs 28 and 34).
_base_ = [
    "../_base_/models/inspro_r50.py",
    "../_base_/datasets/coco_instance.py",
    "../_base_/schedules/inspro_32k.py",
]

# A single frame hands nothing on: there is no bank.
model = dict(head=dict(num_classes=80, bank_size=1), test_cfg=dict(top_k=100))
load_from = None

train_cfg = dict(max_iters=264_000, val_interval=22_000)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=1_000),
    dict(
        type="MultiStepLR",
        by_epoch=False,
        begin=0,
        end=264_000,
        milestones=[205_000, 249_000],
        gamma=0.1,
    ),
]
default_hooks = dict(checkpoint=dict(interval=22_000, save_best="coco_segm/AP"))
auto_scale_lr = dict(base_batch_size=16)
