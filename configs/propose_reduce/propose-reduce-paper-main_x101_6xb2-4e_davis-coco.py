# Propose-Reduce, ResNeXt-101 64x4d, main training on DAVIS 2017 unsupervised and COCO: 6 GPUs with 2
# pairs each.
_base_ = "./propose-reduce-paper-main_r101_6xb3-4e_davis-coco.py"

model = dict(
    detector=dict(
        backbone=dict(
            type="mmdet.ResNeXt",
            depth=101,
            groups=64,
            base_width=4,
            init_cfg=dict(type="Pretrained", checkpoint="open-mmlab://resnext101_64x4d"),
        )
    )
)

train_dataloader = dict(batch_size=2)

max_iters = 81_400
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
param_scheduler = [
    dict(
        type="MultiStepLR",
        by_epoch=False,
        milestones=[max_iters // 2, max_iters * 3 // 4],
        gamma=0.1,
    )
]
auto_scale_lr = dict(base_batch_size=12)
load_from = "checkpoints/propose-reduce_mask-rcnn_x101_coco.pth"
