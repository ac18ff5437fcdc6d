# IAI, Table 8: id head of three convolutions.
_base_ = "../iai_demo_movingshapes.py"

model = dict(segmenter=dict(id_branch=dict(num_convs=3)))
