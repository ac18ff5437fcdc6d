# InsPro (C), ResNet-50, YouTube-VIS 2021 and clips of COCO images of the shared categories, 1 : 1.
_base_ = "./inspro_r50_8xb1-32k_youtubevis2021.py"

# --cfg-options train_dataloader.dataset.datasets.1.pipeline.1.coco_clip=identical for plain copies.
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type="visbench.MixedDataset",
        datasets=[
            _base_.train_dataloader.dataset,
            dict(
                type="visbench.CocoClips",
                target="youtube_vis_2021",
                split="train2017",
                clip=_base_.train_dataloader.dataset.clip,
                filter_cfg=_base_.train_dataloader.dataset.filter_cfg,
                pipeline=_base_.image_clip_transforms,
            ),
        ],
        ratios=[1, 1],
    )
)
