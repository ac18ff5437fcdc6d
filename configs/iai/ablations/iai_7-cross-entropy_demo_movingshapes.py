# IAI, Table 7: cross-entropy over ids and background in place of the focal loss.
_base_ = "../iai_demo_movingshapes.py"

model = dict(
    segmenter=dict(
        id_branch=dict(
            loss_id=dict(
                _delete_=True,
                type="mmdet.CrossEntropyLoss",
                use_sigmoid=False,
                loss_weight=2.0,
            )
        )
    )
)
