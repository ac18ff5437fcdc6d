# InsPro, Table 2a-D: queries only, proposals start afresh, temporally consistent matching,
# without deduplication loss and feature bank.
_base_ = "../inspro_r50_8xb1-32k_youtubevis2019.py"

model = dict(head=dict(propagate_proposal=False, bank_size=1), criterion=dict(dedup_beta=0.0))
