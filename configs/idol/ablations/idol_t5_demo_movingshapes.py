# IDOL on MovingShapes, the last 5 embeddings of a track (T = 5); 3 otherwise.
_base_ = "../idol_demo_movingshapes.py"

model = dict(
    association=dict(tracker=dict(memory_length=5)),
)
