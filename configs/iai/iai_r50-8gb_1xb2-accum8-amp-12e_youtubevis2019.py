# IAI on CondInst, ResNet-50, YouTube-VIS 2019, on one GPU of 8 GiB: 12 epochs in iterations of 16 clips as on
# 4 GPUs, 2 at a time, in mixed precision, with the backbone's activations computed again.
_base_ = "./iai_r50_4xb4-12e_youtubevis2019.py"

model = dict(backbone=dict(with_cp=True))
train_dataloader = dict(batch_size=2)
train_cfg = dict(batches_per_update=8)
optim_wrapper = dict(type="AmpOptimWrapper")
