# IAI, Table 4: neither ids nor association; objects are found again by the overlap of masks.
_base_ = "../iai_r50_4xb4-12e_youtubevis2019.py"

model = dict(association=None, segmenter=dict(identification=False))
