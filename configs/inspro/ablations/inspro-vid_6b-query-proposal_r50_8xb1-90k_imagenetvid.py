# InsPro-VID, Table 6b-B: queries and proposals are handed on; every frame is matched by itself.
_base_ = "../inspro-vid_r50_8xb1-90k_imagenetvid.py"

model = dict(head=dict(bank_size=1), criterion=dict(tcm=False, dedup_beta=0.0))
