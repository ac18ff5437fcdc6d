# InsPro, ResNet-50, YouTube-VIS 2019, on one GPU of 8 GiB: 32k iterations of 8 clips as on
# 8 GPUs, one at a time, in mixed precision, with the backbone's activations computed again.
_base_ = "./inspro_r50_8xb1-32k_youtubevis2019.py"

model = dict(backbone=dict(with_cp=True))
train_cfg = dict(batches_per_update=8)
optim_wrapper = dict(type="AmpOptimWrapper")
