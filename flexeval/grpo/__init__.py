"""GRPO in AR order, or in any order that selects a position before it draws the token.

    rollout.py    a group of samples for each problem, by the sampler, graded
    advantage.py  rewards of a group -> advantages
    scoring.py    what was committed -> the distinct canvases behind it, in batches
    policy.py     canvases -> log-probabilities of the committed tokens
    objective.py  the clipped ratio and the KL term
    trainer.py    one step: rollout, gradient, update
    training.py   all steps of a run folder, with checkpoints; continues where it stopped

`config.py` holds every setting. Importing this package imports no torch.
"""
