# IDOL on MovingShapes, supplementary's Table 1, row 3: contrastive learning with samples by IoU, matching by embeddings.
_base_ = "../idol_demo_movingshapes.py"

model = dict(
    criterion=dict(identity=dict(selection=dict(_delete_=True, type="visbench.IoUSelection"))),
    association=dict(tracker=dict(matching=dict(frame_weight=False), temporal_weight=None)),
)
