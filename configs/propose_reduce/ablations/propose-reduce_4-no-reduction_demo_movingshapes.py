# Propose-Reduce, Table 4: no sequence reduction, so more is reported. It acts
# at test: test a checkpoint of propose_reduce_demo_movingshapes.py with this config.
_base_ = "../propose_reduce_demo_movingshapes.py"

model = dict(reduce=[], max_predictions=100)
