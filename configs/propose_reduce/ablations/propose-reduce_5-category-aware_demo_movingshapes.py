# Propose-Reduce, Table 5: category-aware reduction. It acts
# at test: test a checkpoint of propose_reduce_demo_movingshapes.py with this config.
_base_ = "../propose_reduce_demo_movingshapes.py"

model = dict(
    reduce=[
        dict(type="visbench.SequenceNMS", iou_threshold=0.9, score_threshold=0.05),
        dict(type="visbench.CategoryAwareReduction", sigma=0.5, score_threshold=0.001),
    ],
    score_threshold=0.001,
    max_predictions=100,
)
