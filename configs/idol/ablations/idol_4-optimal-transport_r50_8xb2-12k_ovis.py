# IDOL on OVIS, supplementary's Table 1, row 4: samples by optimal transport, no temporal weighting.
_base_ = "../idol_r50_8xb2-12k_ovis.py"

model = dict(
    association=dict(tracker=dict(matching=dict(frame_weight=False), temporal_weight=None)),
)
