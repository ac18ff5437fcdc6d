# Propose-Reduce, Figure 7: K = 4 key frames. K acts at test.
_base_ = "../propose-reduce-paper_x101_6xb1-5e_davis.py"

model = dict(key_frames=dict(num_key_frames=4))
