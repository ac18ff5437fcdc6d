# IAI, Tables 4 and 5: ids without association; every frame is seen by itself.
_base_ = "../iai_r50_4xb4-12e_youtubevis2019.py"

model = dict(association=None)
