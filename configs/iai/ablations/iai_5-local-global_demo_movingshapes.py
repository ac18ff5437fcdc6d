# IAI, Table 5: both memories, no classification projector.
_base_ = "../iai_demo_movingshapes.py"

model = dict(
    association=dict(classification_channels=0),
    neck=dict(in_channels=[32, 64, 2 * _base_.channels]),
)
