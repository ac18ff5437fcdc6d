# InsPro-VID, Table 6d: feature bank of T = 100 frames (the full model). T acts at test: test a
# checkpoint of inspro-vid_r50_8xb1-90k_imagenetvid.py with this config; training it gives the same
# weights.
_base_ = "../inspro-vid_r50_8xb1-90k_imagenetvid.py"

model = dict(head=dict(bank_size=100))
