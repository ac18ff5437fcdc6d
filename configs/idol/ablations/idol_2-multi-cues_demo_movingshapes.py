# IDOL on MovingShapes, supplementary's Table 1, row 2: contrastive learning with samples by IoU, matching by several cues.
_base_ = "../idol_demo_movingshapes.py"

model = dict(
    criterion=dict(identity=dict(selection=dict(_delete_=True, type="visbench.IoUSelection"))),
    association=dict(
        tracker=dict(
            matching=dict(_delete_=True, type="visbench.MultiCueMatching"), temporal_weight=None
        )
    ),
)
