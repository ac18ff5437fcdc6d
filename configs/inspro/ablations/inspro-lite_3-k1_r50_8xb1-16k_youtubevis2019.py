# InsPro-lite, Table 3 of the paper, K = 1. K acts at test time only: test the checkpoint of
# inspro-lite_r50_8xb1-16k_youtubevis2019.py (K = 10) with this config.
# Every frame is a key frame: this is InsPro, and its checkpoint does as well.
_base_ = "../inspro-lite_r50_8xb1-16k_youtubevis2019.py"

model = dict(key_frame_interval=1)
