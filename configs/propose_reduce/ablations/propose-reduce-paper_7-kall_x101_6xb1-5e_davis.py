# Propose-Reduce, Figure 7: every frame is a key frame. K acts at test.
_base_ = "../propose-reduce-paper_x101_6xb1-5e_davis.py"

model = dict(key_frames=dict(_delete_=True, type="visbench.AllKeyFrames"))
