# InsPro with ResNet-50 as the paper describes it; 40 classes as in YouTube-VIS.
model = dict(
    type="visbench.InsPro",
    data_preprocessor=dict(type="visbench.ClipPreprocessor"),
    backbone=dict(
        type="mmdet.ResNet",
        depth=50,
        num_stages=4,
        out_indices=(0, 1, 2, 3),
        frozen_stages=1,
        norm_cfg=dict(type="BN", requires_grad=False),
        norm_eval=True,
        style="pytorch",
        init_cfg=dict(type="Pretrained", checkpoint="torchvision://resnet50"),
    ),
    neck=dict(
        type="mmdet.FPN",
        in_channels=[256, 512, 1024, 2048],
        out_channels=256,
        num_outs=4,
    ),
    mask_branch=dict(
        in_channels=256,
        feat_channels=128,
        start_level=1,
        end_level=3,
        out_channels=8,
        mask_stride=8,
        num_stacked_convs=4,
        norm_cfg=dict(type="BN"),
        init_cfg=dict(type="Kaiming", layer="Conv2d", a=1, distribution="uniform"),
    ),
    head=dict(
        type="visbench.InsProHead",
        num_classes=40,
        num_queries=100,
        num_stages=6,
        channels=256,
        stage=dict(
            num_heads=8,
            feedforward_channels=2048,
            dynamic_channels=64,
            roi_size=7,
            num_cls_layers=1,
            num_reg_layers=3,
            controller_layers=1,
        ),
        mask_head=dict(channels=8, num_layers=3),
        mask_loss_stages="all",
        rel_coord_norm="roi_level",
        bank_size=18,
        eps_dim=1,
        clip_proposals="handover",
        min_proposal_size=1.0,
    ),
    criterion=dict(
        type="visbench.InsProCriterion",
        tcm=True,
        tcm_stage_mode="per_stage_new",
        dedup_beta=0.1,
        dedup_negatives=5,
    ),
    test_cfg=dict(top_k=10, score_reduce="mean_all", frame_score_thr=0.0),
)
# A process has but a few frames of one clip: too few, and too alike, for statistics of its own.
sync_bn = "torch"
# Without a bank, and in clips of one frame, the attention over the bank has no part in the loss.
find_unused_parameters = True
