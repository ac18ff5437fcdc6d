# IAI on CondInst, ResNet-50, OVIS, from IAI on YouTube-VIS 2019, as the released checkpoint:
#   python tools/convert_checkpoint.py CONFIG --source iai_released FILE --out checkpoints/iai_r50_youtubevis2019.pth
# (or --source iai for a model trained here).
_base_ = [
    "../_base_/models/iai_condinst_r50_reference.py",
    "../_base_/datasets/ovis.py",
    "../_base_/datasets/iai_clips.py",
    "../_base_/schedules/iai_12e_ovis.py",
]

model = dict(
    num_ids=25,
    max_per_video=50,
    segmenter=dict(num_classes=25, test_cfg=dict(max_per_frame=50)),
)
load_from = "checkpoints/iai_r50_youtubevis2019.pth"
train_dataloader = dict(
    batch_size=2, dataset=dict(clip=_base_.clip, pipeline=_base_.multi_scale_frames_transforms)
)
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=_base_.reference_multipliers))
