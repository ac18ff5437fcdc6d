# IAI, Table 4: association without predicted ids; objects are found again by the overlap of masks.
_base_ = "../iai_demo_movingshapes.py"

model = dict(segmenter=dict(identification=False))
