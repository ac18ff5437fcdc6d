# IAI on CondInst, ResNet-101, YouTube-VIS 2019: one image size, 8 GPUs with 2 clips each (Table 1).
_base_ = [
    "../_base_/models/iai_condinst_r50.py",
    "../_base_/datasets/youtube_vis_2019.py",
    "../_base_/datasets/iai_clips.py",
    "../_base_/schedules/iai_12e_youtubevis2019.py",
]

model = dict(
    backbone=dict(
        depth=101, init_cfg=dict(type="Pretrained", checkpoint="torchvision://resnet101")
    ),
    # More candidates than for ResNet-50, as in the reference implementation.
    segmenter=dict(test_cfg=dict(nms_pre=1000, cls_score_thr=0.05)),
)
# MMDetection publishes CondInst with ResNet-50 only: train its config with depth=101 for this file.
load_from = "checkpoints/iai_condinst_r101_coco.pth"

train_dataloader = dict(
    batch_size=2, dataset=dict(clip=_base_.clip, pipeline=_base_.single_scale_transforms)
)
