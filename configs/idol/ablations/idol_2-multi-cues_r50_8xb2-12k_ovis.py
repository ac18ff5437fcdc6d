# IDOL on OVIS, supplementary's Table 1, row 2: contrastive learning with samples by IoU, matching by several cues.
_base_ = "../idol_r50_8xb2-12k_ovis.py"

model = dict(
    criterion=dict(identity=dict(selection=dict(_delete_=True, type="visbench.IoUSelection"))),
    association=dict(
        tracker=dict(
            matching=dict(_delete_=True, type="visbench.MultiCueMatching"), temporal_weight=None
        )
    ),
)
