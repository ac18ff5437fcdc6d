# InsPro, Table 2a-A: every frame starts afresh and is matched by itself, without deduplication
# loss and feature bank.
_base_ = "../inspro_r50_8xb1-32k_youtubevis2019.py"

model = dict(
    head=dict(propagate_query=False, propagate_proposal=False, bank_size=1),
    criterion=dict(tcm=False, dedup_beta=0.0),
)
