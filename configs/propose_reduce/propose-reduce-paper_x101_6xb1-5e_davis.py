# Propose-Reduce, ResNeXt-101 64x4d, DAVIS 2017 unsupervised, as in the paper: 6 GPUs with 1 pair
# each, 5 epochs. Starts from propose-reduce-paper-main_x101_6xb2-4e_davis-coco.py.
_base_ = "./propose-reduce-paper_r101_6xb2-5e_davis.py"

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

train_dataloader = dict(batch_size=1, sampler=dict(group_size=6))

max_iters = 3_500
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
auto_scale_lr = dict(base_batch_size=6)
load_from = "work_dirs/propose-reduce-paper-main_x101_6xb2-4e_davis-coco/iter_81400.pth"
