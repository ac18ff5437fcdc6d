# IDOL on OVIS, negatives are the queries of highest cost of every object, as the supplementary says.
_base_ = "../idol_r50_8xb2-12k_ovis.py"

model = dict(
    criterion=dict(identity=dict(selection=dict(_delete_=True, type="visbench.CostRankSelection"))),
)
