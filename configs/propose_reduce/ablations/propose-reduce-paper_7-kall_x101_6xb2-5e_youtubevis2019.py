# Propose-Reduce, Figure 7: every frame is a key frame. K acts at test.
_base_ = "../propose-reduce-paper_x101_6xb2-5e_youtubevis2019.py"

model = dict(key_frames=dict(_delete_=True, type="visbench.AllKeyFrames"))
