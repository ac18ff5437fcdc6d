# Propose-Reduce, Figure 7: K = 1 key frame. K acts at test.
_base_ = "../propose-reduce-paper_x101_6xb2-5e_youtubevis2019.py"

model = dict(key_frames=dict(num_key_frames=1))
