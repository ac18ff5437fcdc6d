# Propose-Reduce, ResNet-101, DAVIS 2017 unsupervised, as released: fine-tuning, 4 GPUs with 2 pairs each,
# 4 epochs. Starts from the released checkpoint of main training.
_base_ = [
    "../_base_/models/seq_mask_rcnn_reference_r101.py",
    "../_base_/datasets/davis_2017.py",
    "../_base_/schedules/propose_reduce_sgd.py",
]

method_name = "Propose-Reduce"

model = dict(
    key_frames=dict(num_key_frames=8),
    propose=dict(memory_interval=None, memory_count=10),
    reduce=[
        dict(type="visbench.SequenceSoftNMS", sigma=0.5, score_threshold=0.001, max_sequences=20)
    ],
    score_threshold=0.001,
    detector=dict(roi_head=dict(bbox_head=dict(num_classes=1), mask_head=dict(num_classes=1))),
)
train_dataloader = dict(batch_size=2, sampler=dict(group_size=8))

max_iters = 2_100
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
optim_wrapper = dict(optimizer=dict(lr=5e-4 * 4 / 6))
param_scheduler = [
    dict(type="LinearLR", start_factor=1.0 / 3.0, by_epoch=False, begin=0, end=10),
    dict(type="MultiStepLR", by_epoch=False, milestones=[max_iters // 2], gamma=0.1),
]
default_hooks = dict(checkpoint=dict(interval=500, save_best="davis/J&F-Mean"))
auto_scale_lr = dict(base_batch_size=8, enable=False)
load_from = "checkpoints/propose-reduce_main_r101_davis.pth"
