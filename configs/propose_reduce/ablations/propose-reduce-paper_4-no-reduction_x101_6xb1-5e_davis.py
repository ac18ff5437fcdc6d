# Propose-Reduce, Table 4: no sequence reduction. It acts at test.
_base_ = "../propose-reduce-paper_x101_6xb1-5e_davis.py"

model = dict(reduce=[])
