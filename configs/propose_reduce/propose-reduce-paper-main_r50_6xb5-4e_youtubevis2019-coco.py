# Propose-Reduce, ResNet-50, main training on YouTube-VIS 2019 and pseudo videos of COCO images of the
# shared categories: 6 GPUs with 5 pairs each, 4 epochs at 640x320, as in the paper. A pair of the
# data set comes with as many of pseudo videos as there are frames of these for one of its own. Starts
# from Mask R-CNN trained on COCO.
_base_ = "./propose-reduce-paper_r50_6xb5-5e_youtubevis2019.py"

train_dataloader = dict(
    batch_size=5,
    sampler=dict(group_size=1),
    dataset=dict(
        _delete_=True,
        type="visbench.MixedDataset",
        datasets=[
            _base_.train_dataloader.dataset,
            dict(target="youtube_vis_2019", **_base_.image_clips),
        ],
        ratios=[1, 4],
    ),
)

max_iters = 40_200
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
auto_scale_lr = dict(base_batch_size=30)
load_from = "checkpoints/propose-reduce_mask-rcnn_r50_coco.pth"
