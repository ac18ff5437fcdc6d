# InsPro, Table 2a-E: proposals only, queries start afresh, temporally consistent matching,
# without deduplication loss and feature bank.
_base_ = "../inspro_demo_movingshapes.py"

model = dict(head=dict(propagate_query=False, bank_size=1), criterion=dict(dedup_beta=0.0))
