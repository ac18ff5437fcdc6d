# IDOL on MovingShapes, not a row: IDOL's own training, matching by several cues.
_base_ = "../idol_demo_movingshapes.py"

model = dict(
    association=dict(
        tracker=dict(
            matching=dict(_delete_=True, type="visbench.MultiCueMatching"), temporal_weight=None
        )
    ),
)
