# Propose-Reduce, ResNet-101, main training on YouTube-VIS 2019 and COCO: 6 GPUs with 3 pairs each.
_base_ = "./propose-reduce-paper-main_r50_6xb5-4e_youtubevis2019-coco.py"

model = dict(
    detector=dict(
        backbone=dict(
            depth=101, init_cfg=dict(type="Pretrained", checkpoint="torchvision://resnet101")
        )
    )
)

train_dataloader = dict(batch_size=3)

max_iters = 67_000
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
param_scheduler = [
    dict(
        type="MultiStepLR",
        by_epoch=False,
        milestones=[max_iters // 2, max_iters * 3 // 4],
        gamma=0.1,
    )
]
auto_scale_lr = dict(base_batch_size=18)
load_from = "checkpoints/propose-reduce_mask-rcnn_r101_coco.pth"
