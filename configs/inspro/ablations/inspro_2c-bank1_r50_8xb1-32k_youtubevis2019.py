# InsPro, Table 2c: T = 1, no feature bank, as 2b-dedup.
_base_ = "../inspro_r50_8xb1-32k_youtubevis2019.py"

model = dict(head=dict(bank_size=1))
