"""Texts as continuations to score: on which canvas, and long ones in windows of the model's context.

Knows token ids, not the model.
"""

from __future__ import annotations

from collections.abc import Sequence

from lm_eval.utils import get_rolling_token_windows, make_disjoint_window

from flexeval.errors import InputError
from flexeval.lm_harness.likelihood import Continuation


def on_canvas(context_ids: Sequence[int], token_ids: Sequence[int], *, gen_length: int | None) -> Continuation:
    """A text given its context.

    Args:
        context_ids: what stands before it.
        token_ids: the text.
        gen_length: generated positions of its canvas, more where the text is longer; None takes as many as it has
            tokens.
    """
    positions = max(len(token_ids), gen_length or 1)
    return Continuation(context_ids=tuple(context_ids), token_ids=tuple(token_ids), positions=positions)


def rolling(token_ids: Sequence[int], *, prefix_id: int, max_length: int, gen_length: int | None) -> list[Continuation]:
    """Windows that hold every token of a text once, each after as much context as fits before its canvas.

    Args:
        token_ids: the text.
        prefix_id: what its first token is conditioned on.
        max_length: longest canvas, context included; more than `gen_length`.
        gen_length: as for `on_canvas`.

    Raises:
        InputError: a context too short for two tokens.
    """
    if max_length < 2:
        raise InputError(
            f"the model has a context of {max_length} positions, and a text needs 2: one to begin with, one to score; "
            "use another model"
        )
    # A window holds its context and its tokens; lm-eval counts without the last one.
    cuts = get_rolling_token_windows(
        token_list=list(token_ids), prefix_token=prefix_id, max_seq_len=max_length - 1, context_len=1
    )
    windows = []
    for context_ids, own_ids in map(make_disjoint_window, cuts):
        room = max_length - on_canvas(context_ids, own_ids, gen_length=gen_length).positions
        windows.append(on_canvas(context_ids[-room:], own_ids, gen_length=gen_length))
    return windows
