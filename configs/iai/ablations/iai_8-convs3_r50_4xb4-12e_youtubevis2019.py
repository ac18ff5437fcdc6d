# IAI, Table 8: id head of three convolutions.
_base_ = "../iai_r50_4xb4-12e_youtubevis2019.py"

model = dict(segmenter=dict(id_branch=dict(num_convs=3)))
