# Propose-Reduce, ResNet-50, YouTube-VIS 2019, as in the paper: fine-tuning, 6 GPUs with 5 pairs each,
# 5 epochs at a fixed learning rate. The paper takes the largest batch that fits; these are those
# of the released configs. Starts from propose-reduce-paper-main_r50_6xb5-4e_youtubevis2019-coco.py.
_base_ = [
    "../_base_/models/seq_mask_rcnn_paper_r50.py",
    "../_base_/datasets/youtube_vis_2019.py",
    "../_base_/datasets/propose_reduce_pairs.py",
    "../_base_/schedules/propose_reduce_sgd.py",
]

method_name = "Propose-Reduce"

train_dataloader = dict(
    batch_size=5,
    sampler=dict(group_size=30),
    dataset=dict(
        items="frames",
        clip=dict(_delete_=True, type="visbench.SampleGuidance", coverage=False),
        pipeline=_base_.paper_transforms,
    ),
)
val_dataloader = dict(dataset=dict(pipeline=_base_.paper_test_transforms))
test_dataloader = dict(dataset=dict(pipeline=_base_.paper_test_transforms))

max_iters = 10_300
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
default_hooks = dict(checkpoint=dict(interval=1_000))
auto_scale_lr = dict(base_batch_size=30, enable=False)
load_from = "work_dirs/propose-reduce-paper-main_r50_6xb5-4e_youtubevis2019-coco/iter_40200.pth"
