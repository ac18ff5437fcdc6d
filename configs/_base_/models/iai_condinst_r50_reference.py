# IAI on CondInst as the reference implementation has it, for its released checkpoints: further objects
# share an id, padding between images counts as the first object, and objects that appear in a training
# clip do not enter the global memory. Images are normalised by its numbers.
_base_ = "./iai_condinst_r50.py"

model = dict(
    data_preprocessor=dict(mean=(123.68, 116.779, 103.939), std=(58.393, 57.12, 57.375)),
    overflow="share",
    padding_id=0,
    new_objects_in_training=False,
    association=dict(xavier_everywhere=True),
)
# Its rule for names that contain "backbone" also slows down the classification projector.
reference_multipliers = {"classification_projector": dict(lr_mult=0.1, decay_mult=0.9)}
