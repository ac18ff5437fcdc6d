# IDOL on OVIS, the last 5 embeddings of a track (T = 5); 3 otherwise.
_base_ = "../idol_r50_8xb2-12k_ovis.py"

model = dict(
    association=dict(tracker=dict(memory_length=5)),
)
