"""GRPO in AR order, or in any order that selects a position before it draws the token.

    rollout.py    a group of samples for each problem, by the sampler, graded
    scoring.py    what was committed -> the distinct canvases behind it, in batches
    policy.py     canvases -> log-probabilities of the committed tokens
    objective.py  rewards of a group -> advantages; the clipped ratio and the KL term
    trainer.py    one step: rollout, gradient, update
    metrics.py    what is measured of each step, and its log
    trackers.py   TensorBoard and other trackers, by name
    training.py   all steps of a run folder, with checkpoints; continues where it stopped

`config.py` holds every setting. Importing this package imports no torch.
"""
