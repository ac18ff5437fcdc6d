# IAI on CondInst with ResNet-50; 40 classes as in YouTube-VIS. Paper and reference differ: the values
# are the reference's where the paper is silent, otherwise the paper's.
num_classes = 40
num_ids = 20

model = dict(
    type="visbench.IAI",
    data_preprocessor=dict(type="visbench.ClipPreprocessor"),
    num_ids=num_ids,
    max_per_video=10,
    backbone=dict(
        type="mmdet.ResNet",
        depth=50,
        num_stages=4,
        out_indices=(0, 1, 2, 3),
        frozen_stages=1,
        norm_cfg=dict(type="BN", requires_grad=True),
        norm_eval=True,
        style="pytorch",
        init_cfg=dict(type="Pretrained", checkpoint="torchvision://resnet50"),
    ),
    association=dict(
        in_channels=2048,
        stride=32,
        channels=256,
        classification_channels=1536,
        global_interval=3,
        block=dict(local_memory=True, global_memory=True),
    ),
    neck=dict(
        type="mmdet.FPN",
        in_channels=[256, 512, 1024, 2048],
        out_channels=256,
        start_level=1,
        add_extra_convs="on_output",
        num_outs=5,
        relu_before_extra_convs=True,
    ),
    segmenter=dict(
        type="visbench.IAICondInst",
        num_classes=num_classes,
        head=dict(
            in_channels=256,
            feat_channels=256,
            stacked_convs=4,
            strides=[8, 16, 32, 64, 128],
            loss_cls=dict(
                type="mmdet.FocalLoss", use_sigmoid=True, gamma=2.0, alpha=0.25, loss_weight=1.0
            ),
            loss_bbox=dict(type="mmdet.GIoULoss", loss_weight=1.0),
            loss_centerness=dict(type="mmdet.CrossEntropyLoss", use_sigmoid=True, loss_weight=1.0),
        ),
        id_branch=dict(
            num_convs=2,
            loss_id=dict(
                type="mmdet.FocalLoss", use_sigmoid=True, gamma=2.0, alpha=0.25, loss_weight=1.0
            ),
        ),
        mask_features=dict(
            in_channels=256,
            feat_channels=128,
            start_level=0,
            end_level=2,
            out_channels=8,
            mask_stride=8,
            num_stacked_convs=4,
            norm_cfg=dict(type="BN"),
            # PyTorch's own start, as in the reference.
            init_cfg=dict(
                type="Kaiming",
                layer="Conv2d",
                a=5**0.5,
                mode="fan_in",
                nonlinearity="leaky_relu",
                distribution="uniform",
            ),
        ),
        test_cfg=dict(nms_pre=200, cls_score_thr=0.1, id_score_thr=0.1, max_per_frame=10),
    ),
)
