# IAI, Table 5: global memory and classification projector, no local memory.
_base_ = "../iai_r50_4xb4-12e_youtubevis2019.py"

model = dict(association=dict(block=dict(local_memory=False)))
