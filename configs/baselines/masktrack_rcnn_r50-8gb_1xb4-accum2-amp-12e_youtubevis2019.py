# MaskTrack R-CNN, ResNet-50, YouTube-VIS 2019, on one GPU of 8 GiB: 12 epochs in iterations of 8 pairs as on
# 8 GPUs, 4 at a time, in mixed precision, with the backbone's activations computed again.
_base_ = "./masktrack_rcnn_r50_8xb1-12e_youtubevis2019.py"

model = dict(detector=dict(backbone=dict(with_cp=True)))
train_dataloader = dict(batch_size=4)
train_cfg = dict(batches_per_update=2)
optim_wrapper = dict(type="AmpOptimWrapper")
