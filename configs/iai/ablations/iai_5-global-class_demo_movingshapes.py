# IAI, Table 5: global memory and classification projector, no local memory.
_base_ = "../iai_demo_movingshapes.py"

model = dict(association=dict(block=dict(local_memory=False)))
