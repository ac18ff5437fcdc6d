# InsPro (C), ResNet-50, YouTube-VIS 2021 and clips of COCO images of the shared categories, 1 : 1.
_base_ = "./inspro_r50_8xb1-32k_youtubevis2021.py"

train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type="visbench.MixedDataset",
        datasets=[
            _base_.train_dataloader.dataset,
            dict(target="youtube_vis_2021", **_base_.image_clips),
        ],
        ratios=[1, 1],
    )
)
