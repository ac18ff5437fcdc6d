# Propose-Reduce, ResNet-50, YouTube-VIS 2019, on one GPU of 8 GiB: 4 epochs in iterations of 20 pairs as on
# 4 GPUs, 5 at a time, in mixed precision, with the backbone's activations computed again.
_base_ = "./propose-reduce_r50_4xb5-4e_youtubevis2019.py"

model = dict(detector=dict(backbone=dict(with_cp=True)))
train_cfg = dict(batches_per_update=4)
optim_wrapper = dict(type="AmpOptimWrapper")
