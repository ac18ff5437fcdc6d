# InsPro-VID, Table 6b-C: with temporally consistent matching (6c beta = 0).
_base_ = "../inspro-vid_r50_8xb1-90k_imagenetvid.py"

model = dict(head=dict(bank_size=1), criterion=dict(dedup_beta=0.0))
