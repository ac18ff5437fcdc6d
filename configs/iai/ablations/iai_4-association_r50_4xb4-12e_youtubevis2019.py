# IAI, Table 4: association without predicted ids; objects are found again by the overlap of masks.
_base_ = "../iai_r50_4xb4-12e_youtubevis2019.py"

model = dict(segmenter=dict(identification=False))
