# DAVIS 2017, unsupervised: objects of one class; data/DAVIS as the original archives unpack. The
# annotations of `val` are public. Test sets: --cfg-options test_dataloader.dataset.split=test-dev
_base_ = "./propose_reduce_pairs.py"

train_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type="visbench.SeededClipSampler"),
    dataset=dict(
        type="visbench.DAVISUnsupervised",
        data_root="data/DAVIS",
        split="train",
        items="frames",
        clip=dict(type="visbench.SampleGuidance"),
        filter_cfg=dict(filter_empty_gt=True, min_size=32),
        pipeline=_base_.reference_davis_transforms,
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=False, round_up=False),
    dataset=dict(
        type="visbench.DAVISUnsupervised",
        data_root="data/DAVIS",
        split="val",
        test_mode=True,
        pipeline=_base_.davis_test_transforms,
    ),
)
test_dataloader = val_dataloader

val_evaluator = dict(type="visbench.DavisMetric")
test_evaluator = val_evaluator
