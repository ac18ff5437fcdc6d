# Propose-Reduce, Figure 7: every frame is a key frame. It acts
# at test: test a checkpoint of propose_reduce_demo_movingshapes.py with this config.
_base_ = "../propose_reduce_demo_movingshapes.py"

model = dict(key_frames=dict(_delete_=True, type="visbench.AllKeyFrames"))
