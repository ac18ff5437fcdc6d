# InsPro-lite, Table 3 of the paper, K = 15. K acts at test time only: test the checkpoint of
# inspro-lite_r50_8xb1-16k_youtubevis2019.py (K = 10) with this config.
_base_ = "../inspro-lite_r50_8xb1-16k_youtubevis2019.py"

model = dict(key_frame_interval=15)
