# IDOL on OVIS, recency plus tau = 1.0 as weights of remembered embeddings.
_base_ = "../idol_r50_8xb2-12k_ovis.py"

model = dict(
    association=dict(tracker=dict(temporal_weight="tau", tau=1.0)),
)
