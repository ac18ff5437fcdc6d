# Propose-Reduce with category-aware reduction, ResNet-50, YouTube-VIS 2021, as released. It acts
# at test: test a checkpoint of the config below with this one.
_base_ = "./propose-reduce_r50_4xb5-4e_youtubevis2021.py"

model = dict(
    reduce=[
        dict(type="visbench.SequenceNMS", iou_threshold=0.9, score_threshold=0.05),
        dict(type="visbench.CategoryAwareReduction", sigma=0.5, score_threshold=0.001),
    ],
    score_threshold=0.001,
)
