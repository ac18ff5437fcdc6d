# InsPro, Table 2b: with deduplication loss, without feature bank (2c T = 1, 2e united queries).
_base_ = "../inspro_r50_8xb1-32k_youtubevis2019.py"

model = dict(head=dict(bank_size=1))
