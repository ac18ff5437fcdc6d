# IDOL on MovingShapes, negatives are the queries of highest cost of every object, as the supplementary says.
_base_ = "../idol_demo_movingshapes.py"

model = dict(
    criterion=dict(identity=dict(selection=dict(_delete_=True, type="visbench.CostRankSelection"))),
)
