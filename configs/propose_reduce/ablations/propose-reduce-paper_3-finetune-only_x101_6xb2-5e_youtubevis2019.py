# Propose-Reduce, Table 3: no main training, fine-tuning from Mask R-CNN trained on COCO.
_base_ = "../propose-reduce-paper_x101_6xb2-5e_youtubevis2019.py"

load_from = "checkpoints/propose-reduce_mask-rcnn_x101_coco.pth"
