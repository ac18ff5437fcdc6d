# IAI, Table 4: neither ids nor association; objects are found again by the overlap of masks.
_base_ = "../iai_demo_movingshapes.py"

model = dict(
    association=None,
    neck=dict(in_channels=[32, 64, 128]),
    segmenter=dict(identification=False),
)
