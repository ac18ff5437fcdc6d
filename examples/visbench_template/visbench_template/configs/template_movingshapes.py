_base_ = ["visbench::_base_/datasets/moving_shapes.py", "visbench::_base_/default_runtime.py"]
model = dict(type="ClassIsIdentity", num_classes=8)
train_cfg = dict(max_iters=200, val_interval=200)
optim_wrapper = dict(type="OptimWrapper", optimizer=dict(type="AdamW", lr=1e-3))
