# InsPro-VID, Table 6c: deduplication loss with beta = 0.08, without feature bank.
_base_ = "../inspro-vid_r50_8xb1-90k_imagenetvid.py"

model = dict(head=dict(bank_size=1), criterion=dict(dedup_beta=0.08))
