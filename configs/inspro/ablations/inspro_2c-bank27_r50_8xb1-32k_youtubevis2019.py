# InsPro, Table 2c: feature bank of T = 27 frames. T acts at test: test a checkpoint of
# inspro_r50_8xb1-32k_youtubevis2019.py with this config; training it gives the same weights.
_base_ = "../inspro_r50_8xb1-32k_youtubevis2019.py"

model = dict(head=dict(bank_size=27))
