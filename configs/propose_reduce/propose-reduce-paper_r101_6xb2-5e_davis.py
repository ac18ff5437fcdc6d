# Propose-Reduce, ResNet-101, DAVIS 2017 unsupervised, as in the paper: fine-tuning, 6 GPUs with 2
# pairs each, 5 epochs at a fixed learning rate. Starts from
# propose-reduce-paper-main_r101_6xb3-4e_davis-coco.py.
_base_ = [
    "../_base_/models/seq_mask_rcnn_paper_r50.py",
    "../_base_/datasets/davis_2017.py",
    "../_base_/schedules/propose_reduce_sgd.py",
]

method_name = "Propose-Reduce"

model = dict(
    key_frames=dict(num_key_frames=4),
    score_threshold=0.001,
    detector=dict(
        backbone=dict(
            depth=101, init_cfg=dict(type="Pretrained", checkpoint="torchvision://resnet101")
        ),
        roi_head=dict(bbox_head=dict(num_classes=1), mask_head=dict(num_classes=1)),
    ),
)
train_dataloader = dict(
    batch_size=2,
    sampler=dict(group_size=12),
    dataset=dict(clip=dict(coverage=False), pipeline=_base_.paper_davis_transforms),
)

max_iters = 1_800
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
default_hooks = dict(checkpoint=dict(interval=500, save_best="davis/J&F-Mean"))
auto_scale_lr = dict(base_batch_size=12, enable=False)
load_from = "work_dirs/propose-reduce-paper-main_r101_6xb3-4e_davis-coco/iter_54300.pth"
