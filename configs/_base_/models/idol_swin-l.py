# IDOL with Swin-L, pre-trained on ImageNet-22k at 384 pixels; nothing is frozen.
_base_ = "./idol_r50.py"

model = dict(
    backbone=dict(
        _delete_=True,
        type="mmdet.SwinTransformer",
        pretrain_img_size=384,
        embed_dims=192,
        depths=[2, 2, 18, 2],
        num_heads=[6, 12, 24, 48],
        window_size=12,
        drop_path_rate=0.3,
        out_indices=(1, 2, 3),
        convert_weights=True,
        init_cfg=dict(
            type="Pretrained",
            checkpoint="https://github.com/SwinTransformer/storage/releases/download/v1.0.0/swin_large_patch4_window12_384_22k.pth",
        ),
    ),
    neck=dict(in_channels=[384, 768, 1536]),
)
