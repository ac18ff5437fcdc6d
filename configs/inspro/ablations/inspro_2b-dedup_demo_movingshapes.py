# InsPro, Table 2b: with deduplication loss, without feature bank (2c T = 1, 2e united queries).
_base_ = "../inspro_demo_movingshapes.py"

model = dict(head=dict(bank_size=1))
