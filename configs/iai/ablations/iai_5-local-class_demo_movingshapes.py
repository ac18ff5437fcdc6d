# IAI, Table 5: local memory and classification projector, no global memory.
_base_ = "../iai_demo_movingshapes.py"

model = dict(association=dict(block=dict(global_memory=False)))
