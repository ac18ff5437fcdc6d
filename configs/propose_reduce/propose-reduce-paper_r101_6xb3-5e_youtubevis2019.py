# Propose-Reduce, ResNet-101, YouTube-VIS 2019, as in the paper: 6 GPUs with 3 pairs each, 5 epochs.
# Starts from propose-reduce-paper-main_r101_6xb3-4e_youtubevis2019-coco.py.
_base_ = "./propose-reduce-paper_r50_6xb5-5e_youtubevis2019.py"

model = dict(
    detector=dict(
        backbone=dict(
            depth=101, init_cfg=dict(type="Pretrained", checkpoint="torchvision://resnet101")
        )
    )
)

train_dataloader = dict(batch_size=3, sampler=dict(group_size=18))

max_iters = 17_200
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
auto_scale_lr = dict(base_batch_size=18)
load_from = "work_dirs/propose-reduce-paper-main_r101_6xb3-4e_youtubevis2019-coco/iter_67000.pth"
