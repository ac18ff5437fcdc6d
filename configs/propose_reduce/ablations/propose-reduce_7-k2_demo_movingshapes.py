# Propose-Reduce, Figure 7: K = 2 key frames. It acts
# at test: test a checkpoint of propose_reduce_demo_movingshapes.py with this config.
_base_ = "../propose_reduce_demo_movingshapes.py"

model = dict(key_frames=dict(num_key_frames=2))
