# Propose-Reduce, ResNeXt-101 64x4d, YouTube-VIS 2019, as in the paper: 6 GPUs with 2 pairs each, 5 epochs.
# Starts from propose-reduce-paper-main_x101_6xb2-4e_youtubevis2019-coco.py.
_base_ = "./propose-reduce-paper_r50_6xb5-5e_youtubevis2019.py"

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

train_dataloader = dict(batch_size=2, sampler=dict(group_size=12))

max_iters = 25_800
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
auto_scale_lr = dict(base_batch_size=12)
load_from = "work_dirs/propose-reduce-paper-main_x101_6xb2-4e_youtubevis2019-coco/iter_100600.pth"
