# Propose-Reduce, Table 4: no sequence reduction. It acts at test.
_base_ = "../propose-reduce-paper_x101_6xb2-5e_youtubevis2019.py"

model = dict(reduce=[])
