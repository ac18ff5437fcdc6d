# Propose-Reduce, Table 5: category-aware reduction, soft within a class as in the released code (the paper
# repeats its hard one there, without a threshold for the first step). It acts at test.
_base_ = "../propose-reduce-paper_r101_6xb3-5e_youtubevis2019.py"

model = dict(
    reduce=[
        dict(type="visbench.SequenceNMS", iou_threshold=0.9, score_threshold=0.0),
        dict(type="visbench.CategoryAwareReduction", sigma=0.5, score_threshold=0.001),
    ],
    score_threshold=0.001,
)
