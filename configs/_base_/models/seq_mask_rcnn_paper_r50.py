# Seq Mask R-CNN as the paper describes it, where the released code departs from it: key frames by
# Eq. 1, a memory of every fifth frame, scores averaged over all frames (Eq. 2), hard suppression to the end
# (Algorithm 2; its threshold, like that of the code, 0.5), and no suppression among the masks of a key frame.
_base_ = "./seq_mask_rcnn_r50.py"

model = dict(
    key_frames=dict(_delete_=True, type="visbench.IntervalKeyFrames", num_key_frames=6),
    propose=dict(memory_interval=5, mask_iou_threshold=1.0),
    score=dict(type="visbench.MeanOverVideo"),
    reduce=[dict(type="visbench.SequenceNMS", iou_threshold=0.5, score_threshold=0.0)],
)
