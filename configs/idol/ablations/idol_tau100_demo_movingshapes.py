# IDOL on MovingShapes, recency plus tau = 1.0 as weights of remembered embeddings.
_base_ = "../idol_demo_movingshapes.py"

model = dict(
    association=dict(tracker=dict(temporal_weight="tau", tau=1.0)),
)
