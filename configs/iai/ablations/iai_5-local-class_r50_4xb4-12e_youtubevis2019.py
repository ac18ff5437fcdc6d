# IAI, Table 5: local memory and classification projector, no global memory.
_base_ = "../iai_r50_4xb4-12e_youtubevis2019.py"

model = dict(association=dict(block=dict(global_memory=False)))
