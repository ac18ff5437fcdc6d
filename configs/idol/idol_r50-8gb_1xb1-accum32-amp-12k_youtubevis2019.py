# IDOL, ResNet-50, YouTube-VIS 2019, on one GPU of 8 GiB: 12k iterations of 32 pairs as on
# 8 GPUs, one at a time, in mixed precision, with the backbone's activations computed again.
_base_ = "./idol_r50_8xb4-12k_youtubevis2019.py"

model = dict(backbone=dict(with_cp=True))
train_dataloader = dict(batch_size=1)
train_cfg = dict(batches_per_update=32)
optim_wrapper = dict(type="AmpOptimWrapper")
