# InsPro, Table 2a-C: queries and proposals, temporally consistent matching, without deduplication
# loss and feature bank (2b without, 2d query-slot).
_base_ = "../inspro_demo_movingshapes.py"

model = dict(head=dict(bank_size=1), criterion=dict(dedup_beta=0.0))
