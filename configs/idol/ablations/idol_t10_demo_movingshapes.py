# IDOL on MovingShapes, the last 10 embeddings of a track (T = 10); 3 otherwise.
_base_ = "../idol_demo_movingshapes.py"

model = dict(
    association=dict(tracker=dict(memory_length=10)),
)
