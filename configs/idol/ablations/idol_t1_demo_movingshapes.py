# IDOL on MovingShapes, the last embedding of a track (T = 1); 3 otherwise.
_base_ = "../idol_demo_movingshapes.py"

model = dict(
    association=dict(tracker=dict(memory_length=1)),
)
