# IDOL on OVIS, the last embedding of a track (T = 1); 3 otherwise.
_base_ = "../idol_r50_8xb2-12k_ovis.py"

model = dict(
    association=dict(tracker=dict(memory_length=1)),
)
