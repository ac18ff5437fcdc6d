# SPDX-License-Identifier: Apache-2.0
# AdamW for 12,000 iterations: linear warm-up, then steps down at two thirds and eleven twelfths.
train_cfg = dict(type="SeededIterTrainLoop", max_iters=12_000, val_interval=2_000)
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="AdamW", lr=1e-4, weight_decay=1e-4),
    clip_grad=dict(max_norm=1.0, norm_type=2),
)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.001, by_epoch=False, begin=0, end=500),
    dict(
        type="MultiStepLR",
        by_epoch=False,
        begin=0,
        end=12_000,
        milestones=[8_000, 11_000],
        gamma=0.1,
    ),
]
default_hooks = dict(checkpoint=dict(interval=2_000))
# The batch size over all devices that the learning rate is for (--auto-scale-lr).
auto_scale_lr = dict(base_batch_size=16, enable=False)
