# IAI, Tables 4 and 5: ids without association; every frame is seen by itself.
_base_ = "../iai_demo_movingshapes.py"

model = dict(association=None, neck=dict(in_channels=[32, 64, 128]))
