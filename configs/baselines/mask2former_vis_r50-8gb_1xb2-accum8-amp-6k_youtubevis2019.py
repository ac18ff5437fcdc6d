# Mask2Former-VIS, ResNet-50, YouTube-VIS 2019, on one GPU of 8 GiB: 6k iterations of 16 clips as on
# 8 GPUs, 2 at a time, in mixed precision, with the backbone's activations computed again.
_base_ = "./mask2former_vis_r50_8xb2-6k_youtubevis2019.py"

model = dict(backbone=dict(with_cp=True))
train_cfg = dict(batches_per_update=8)
optim_wrapper = dict(type="AmpOptimWrapper")
