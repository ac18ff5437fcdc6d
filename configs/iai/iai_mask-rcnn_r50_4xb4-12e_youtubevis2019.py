# IAI on Mask R-CNN, ResNet-50, YouTube-VIS 2019 (Table 6). Schedule and clips are those of IAI on CondInst.
_base_ = [
    "../_base_/models/iai_mask_rcnn_r50.py",
    "../_base_/datasets/youtube_vis_2019.py",
    "../_base_/datasets/iai_clips.py",
    "../_base_/schedules/iai_12e_youtubevis2019.py",
]

train_dataloader = dict(
    batch_size=4, dataset=dict(clip=_base_.clip, pipeline=_base_.single_scale_transforms)
)
# From MMDetection's Mask R-CNN:
#   python tools/convert_checkpoint.py CONFIG --source mask_rcnn FILE --out checkpoints/iai_mask-rcnn_r50_coco.pth
load_from = "checkpoints/iai_mask-rcnn_r50_coco.pth"
