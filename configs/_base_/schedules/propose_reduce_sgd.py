# Propose-Reduce: SGD. A config sets learning rate, iterations and batch size. Iterations follow from
# epochs in which every annotated frame is a query once: 61,845 frames in YouTube-VIS 2019 and 90,160
# in 2021 (as in configs/baselines), 4,219 in DAVIS 2017 (arXiv:1704.00675), and 3 frames of each of the
# 80,000 COCO images of the paper. None of them was counted from the files here.
_base_ = "../default_runtime.py"

# Where training starts, checkpoints/propose-reduce_*.pth, is written by
#   python tools/convert_checkpoint.py CONFIG --source SOURCE FILE --out CHECKPOINT
# with --source propose_reduce for the released main-training checkpoints and --source mask_rcnn for
# MMDetection's Mask R-CNN trained on COCO (mask_rcnn_{r50,r101,x101_64x4d}_fpn_*_coco).
load_from = None

optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="SGD", lr=5e-5, momentum=0.9, weight_decay=1e-4),
    clip_grad=dict(max_norm=35, norm_type=2),
)
param_scheduler = []
