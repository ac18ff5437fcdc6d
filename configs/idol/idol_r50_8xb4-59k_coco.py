# IDOL, ResNet-50, COCO: pseudo pairs of two independent views of every image, as pre-training for
# videos. Its test is that of still images.
_base_ = [
    "../_base_/models/idol_r50.py",
    "../_base_/datasets/coco_instance.py",
    "../_base_/datasets/idol_pairs.py",
    "../_base_/schedules/idol_12k.py",
]

# The recipe begins with COCO without embeddings, of which no settings are public. MMDetection's
# Deformable DETR can take its place: convert it by --source deformable_detr FILE, and load that.
load_from = None
model = dict(
    head=dict(num_classes=80),
    association=dict(_delete_=True, type="visbench.StillImageAssociation"),
)
train_dataloader = dict(
    batch_size=4,
    dataset=dict(clip=_base_.image_pair_clip, pipeline=_base_.image_pair_transforms),
)
val_dataloader = dict(dataset=dict(pipeline=_base_.test_transforms_at[640]))
test_dataloader = val_dataloader

train_cfg = dict(max_iters=59_200, val_interval=59_200)
optim_wrapper = dict(optimizer=dict(lr=2e-4))
param_scheduler = [
    dict(
        type="MultiStepLR",
        by_epoch=False,
        begin=0,
        end=59_200,
        milestones=[22_200, 44_400],
        gamma=0.1,
    )
]
default_hooks = dict(checkpoint=dict(interval=3_700, save_best="coco_segm/AP"))
auto_scale_lr = dict(base_batch_size=32)
