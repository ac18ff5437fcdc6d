# IDOL on OVIS, supplementary's Table 1, row 1: an instance classifier in place of contrastive learning, matching by several cues.
_base_ = "../idol_r50_8xb2-12k_ovis.py"

model = dict(
    criterion=dict(
        identity=dict(_delete_=True, type="visbench.InstanceClassificationLoss"),
    ),
    association=dict(
        tracker=dict(
            matching=dict(_delete_=True, type="visbench.MultiCueMatching"), temporal_weight=None
        )
    ),
)
