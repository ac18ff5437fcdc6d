# Propose-Reduce, ResNet-50, YouTube-VIS 2021, as released: fine-tuning, 4 GPUs with 5 pairs each,
# 4 epochs. Starts from the released checkpoint of main training.
_base_ = [
    "../_base_/models/seq_mask_rcnn_reference_r50.py",
    "../_base_/datasets/youtube_vis_2021.py",
    "../_base_/datasets/propose_reduce_pairs.py",
    "../_base_/schedules/propose_reduce_sgd.py",
]

method_name = "Propose-Reduce"

train_dataloader = dict(
    batch_size=5,
    sampler=dict(group_size=20),
    dataset=dict(
        items="frames",
        clip=dict(_delete_=True, type="visbench.SampleGuidance"),
        pipeline=_base_.reference_transforms,
    ),
)

max_iters = 18_000
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
optim_wrapper = dict(optimizer=dict(lr=5e-5 * 4 / 6))
param_scheduler = [
    dict(type="LinearLR", start_factor=1.0 / 3.0, by_epoch=False, begin=0, end=10),
    dict(type="MultiStepLR", by_epoch=False, milestones=[max_iters // 2], gamma=0.1),
]
default_hooks = dict(checkpoint=dict(interval=1_000))
auto_scale_lr = dict(base_batch_size=20, enable=False)
load_from = "checkpoints/propose-reduce_main_r50_youtubevis2021.pth"
