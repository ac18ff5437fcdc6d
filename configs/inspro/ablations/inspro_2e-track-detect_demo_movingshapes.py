# Table 2e, "track-and-detect query", at the size of the demo.
_base_ = ["../inspro_demo_movingshapes.py"]

method_name = "InsPro, track and detect queries"
model = dict(
    type="visbench.InsProTrackDetect",
    head=dict(bank_size=1),
    criterion=dict(dedup_beta=0.0),
    # Scores are low after a few hundred steps.
    track_life_cycle=dict(open_score=0.2, keep_score=0.1, patience=5, max_tracks=20),
    test_cfg=dict(frame_score_thr=0.1),
)
