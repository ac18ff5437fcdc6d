# Propose-Reduce, ResNet-101, main training on DAVIS 2017 unsupervised and pseudo videos of COCO
# images without their classes: 6 GPUs with 3 pairs each, 4 epochs at 640x320, as in the paper. A pair
# of the data set comes with as many of pseudo videos as there are frames of these for one of its own.
# Starts from Mask R-CNN trained on COCO.
_base_ = "./propose-reduce-paper_r101_6xb2-5e_davis.py"

train_dataloader = dict(
    batch_size=3,
    sampler=dict(group_size=1),
    dataset=dict(
        _delete_=True,
        type="visbench.MixedDataset",
        datasets=[
            dict(_base_.train_dataloader.dataset, pipeline=_base_.paper_transforms),
            dict(target="davis", **_base_.image_clips),
        ],
        ratios=[1, 57],
    ),
)
val_dataloader = dict(dataset=dict(pipeline=_base_.paper_test_transforms))
test_dataloader = dict(dataset=dict(pipeline=_base_.paper_test_transforms))

max_iters = 54_300
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
optim_wrapper = dict(optimizer=dict(lr=5e-3))
param_scheduler = [
    dict(
        type="MultiStepLR",
        by_epoch=False,
        milestones=[max_iters // 2, max_iters * 3 // 4],
        gamma=0.1,
    )
]
default_hooks = dict(checkpoint=dict(interval=5_000))
auto_scale_lr = dict(base_batch_size=18)
load_from = "checkpoints/propose-reduce_mask-rcnn_r101_coco.pth"
