# IDOL on OVIS, not a row: IDOL's own training, matching by several cues.
_base_ = "../idol_r50_8xb2-12k_ovis.py"

model = dict(
    association=dict(
        tracker=dict(
            matching=dict(_delete_=True, type="visbench.MultiCueMatching"), temporal_weight=None
        )
    ),
)
