# InsPro, Table 2a-B: queries and proposals are handed on, frames matched by themselves, without
# deduplication loss and feature bank.
_base_ = "../inspro_demo_movingshapes.py"

model = dict(head=dict(bank_size=1), criterion=dict(tcm=False, dedup_beta=0.0))
