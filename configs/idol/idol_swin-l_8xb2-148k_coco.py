# IDOL, Swin-L, COCO: pseudo pairs of two independent views of every image, as pre-training for
# videos. Its test is that of still images.
_base_ = [
    "../_base_/models/idol_swin-l.py",
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
    batch_size=2,
    dataset=dict(clip=_base_.image_pair_clip, pipeline=_base_.image_pair_transforms),
)
val_dataloader = dict(dataset=dict(pipeline=_base_.test_transforms_at[800]))
test_dataloader = val_dataloader

train_cfg = dict(max_iters=148_000, val_interval=148_000)
optim_wrapper = dict(optimizer=dict(lr=2e-4))
param_scheduler = [
    dict(
        type="MultiStepLR",
        by_epoch=False,
        begin=0,
        end=148_000,
        milestones=[59_200, 118_400],
        gamma=0.1,
    )
]
default_hooks = dict(checkpoint=dict(interval=2_000, save_best="coco_segm/AP"))
auto_scale_lr = dict(base_batch_size=16)
