# InsPro, Table 2c: feature bank of T = 36 frames. T acts at test: test a checkpoint of
# inspro_demo_movingshapes.py with this config; training it gives the same weights.
_base_ = "../inspro_demo_movingshapes.py"

model = dict(head=dict(bank_size=36))
