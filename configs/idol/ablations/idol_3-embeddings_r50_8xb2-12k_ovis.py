# IDOL on OVIS, supplementary's Table 1, row 3: contrastive learning with samples by IoU, matching by embeddings.
_base_ = "../idol_r50_8xb2-12k_ovis.py"

model = dict(
    criterion=dict(identity=dict(selection=dict(_delete_=True, type="visbench.IoUSelection"))),
    association=dict(tracker=dict(matching=dict(frame_weight=False), temporal_weight=None)),
)
