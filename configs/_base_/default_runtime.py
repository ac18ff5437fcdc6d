# SPDX-License-Identifier: Apache-2.0
default_scope = "visbench"
runner_type = "VISRunner"

# Iterations; a schedule sets max_iters and val_interval.
train_cfg = dict(type="SeededIterTrainLoop", max_iters=1000, val_interval=1000)
val_cfg = dict(type="VideoValLoop")
test_cfg = dict(type="VideoTestLoop", precision="fp32")

default_hooks = dict(
    timer=dict(type="IterTimerHook"),
    logger=dict(type="LoggerHook", interval=50, log_metric_by_epoch=False),
    param_scheduler=dict(type="ParamSchedulerHook"),
    checkpoint=dict(
        type="AtomicCheckpointHook",
        by_epoch=False,
        interval=1000,
        max_keep_ckpts=2,
        save_best="youtube_vis/AP",
        rule="greater",
    ),
    sampler_seed=dict(type="DistSamplerSeedHook"),
)
custom_hooks = [dict(type="RandomStateHook"), dict(type="SharedVideosHook")]

env_cfg = dict(
    cudnn_benchmark=False,
    mp_cfg=dict(mp_start_method="fork", opencv_num_threads=0),
    dist_cfg=dict(backend="nccl"),
)
# deterministic=True also fixes the algorithms of the GPU, at the cost of speed.
randomness = dict(seed=0, deterministic=False)

# To log to TensorBoard or Weights & Biases (pip install tensorboard, wandb), add in your config:
#   visualizer = dict(vis_backends=[dict(type="LocalVisBackend"),
#                                   dict(type="TensorboardVisBackend")])
#   visualizer = dict(vis_backends=[dict(type="LocalVisBackend"),
#                                   dict(type="WandbVisBackend", init_kwargs=dict(project="vis"))])
visualizer = dict(type="Visualizer", vis_backends=[dict(type="LocalVisBackend")])
log_processor = dict(type="LogProcessor", window_size=50, by_epoch=False)
log_level = "INFO"
load_from = None
resume = False
