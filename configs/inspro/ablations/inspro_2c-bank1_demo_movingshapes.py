# InsPro, Table 2c: T = 1, no feature bank, as 2b-dedup.
_base_ = "../inspro_demo_movingshapes.py"

model = dict(head=dict(bank_size=1))
