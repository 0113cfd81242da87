"""One decode in the terminal: the text coloured by commit step and by entropy, or a table without colour.

Generated text cannot control the terminal: control characters appear as escapes, and rich's markup is not read.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.console import Console
from rich.style import Style
from rich.table import Table
from rich.text import Text

from flexeval.display import shade
from flexeval.errors import printable
from flexeval.records import REVISION_COLUMNS, FloatArray, Grade, Trajectory


@dataclass(frozen=True, kw_only=True)
class Decode:
    """A finished sample and what is known about it."""

    question: str
    text: str
    pieces: Sequence[str]
    """The text of each token."""
    trajectory: Trajectory
    order: str
    target: str | None
    """The reference answer; None for a prompt that belongs to no problem."""
    grade: Grade | None


def show(console: Console, decode: Decode, *, as_table: bool) -> None:
    """Print a decode: coloured where the console has colour, unless `as_table`, and else one line for each token."""
    console.print(Text(printable(decode.question)), soft_wrap=True)
    console.print()
    has_colour = console.is_terminal and console.color_system is not None and not console.no_color
    if as_table or not has_colour:
        console.print(Text(printable(decode.text)), soft_wrap=True)
        console.print(_table(decode))
    else:
        _show_coloured(console, decode)
    console.print(Text(_summary(decode)), soft_wrap=True)


def as_json(decode: Decode) -> dict[str, Any]:
    """A decode as JSON values: its text and verdict, and for each committed position what the record has."""
    of, grade = decode.trajectory, decode.grade
    pieces = [*decode.pieces, *[None] * (len(of.token_ids_G) - len(decode.pieces))]
    return {
        "order": decode.order,
        "problem_id": of.problem_id,
        "sample_index": of.sample_index,
        "question": decode.question,
        "text": decode.text,
        "target": decode.target,
        "grade": None if grade is None else dataclasses.asdict(grade),
        "nfe": of.nfe,
        "length": of.length,
        "tokens": [
            {
                "position": i,
                "token_id": int(of.token_ids_G[i]),
                "piece": pieces[i],
                "in_text": i < of.length,
                "commit_step": int(of.commit_step_G[i]),
                "entropy_nats": _number(of.entropy_G[i]),
                "prob": _number(of.prob_G[i]),
                "rank": int(of.rank_G[i]),
                "top_prob": _number(of.top_prob_G[i]),
                "eligible_entropy_nats": _number(of.eligible_entropy_G[i]),
                "frontier_step": int(of.frontier_step_G[i]),
                "frontier_entropy_nats": _number(of.frontier_entropy_G[i]),
                "passes": int(of.passes_G[i]),
            }
            for i in np.flatnonzero(of.commit_step_G >= 0).tolist()
        ],
        **_revisions_as_json(of),
    }


def _revisions_as_json(of: Trajectory) -> dict[str, Any]:
    """What was taken back, and whether that was ended; nothing where nothing was."""
    if not len(of.revisions):
        return {}
    columns = {
        f"{name}_nats" if kind is np.float32 and "entropy" in name else name: getattr(of.revisions, f"{name}_N")
        for name, kind in REVISION_COLUMNS.items()
    }
    rows = [
        {name: _number(column[i]) if column.dtype.kind == "f" else int(column[i]) for name, column in columns.items()}
        for i in range(len(of.revisions))
    ]
    return {"revisions": rows, "capped": of.capped}


def _number(value: np.float32) -> float | None:
    return None if np.isnan(value) else float(value)


def _show_coloured(console: Console, decode: Decode) -> None:
    committed = decode.trajectory.commit_step_G >= 0
    for title, values_G in [
        ("commit step", decode.trajectory.commit_step_G.astype(np.float64)),
        ("entropy at commit, nats", decode.trajectory.entropy_G.astype(np.float64)),
    ]:
        values = np.where(committed, values_G, np.nan)[: decode.trajectory.length]
        highest = float(np.nanmax(values, initial=0.0))
        console.print(_legend(title, highest))
        console.print(_coloured(decode.pieces, values / max(highest, 1e-9)), soft_wrap=True)
        console.print()


def _coloured(pieces: Sequence[str], shares: FloatArray) -> Text:
    """Each piece on the colour of its share in [0, 1]; a piece without one (NaN) is left plain."""
    text = Text()
    for piece, share in zip(pieces, shares.tolist(), strict=True):
        text.append(printable(piece), style=Style() if np.isnan(share) else _style(share))
    return text


def _legend(title: str, highest: float) -> Text:
    bar = Text(f"{title}: 0 ")
    for share in np.linspace(0, 1, 16).tolist():
        bar.append(" ", style=_style(share))
    return bar.append(f" {highest:.3g}")


def _style(share: float) -> Style:
    (red, green, blue), dark = shade(share)
    return Style.parse(f"{'white' if dark else 'black'} on rgb({red},{green},{blue})")


def _table(decode: Decode) -> Table:
    table = Table(box=None, pad_edge=False, header_style="")
    for name in ("position", "token", "commit step", "entropy, nats", "prob", "rank"):
        table.add_column(name, justify="left" if name == "token" else "right")
    of = decode.trajectory
    for i, piece in enumerate(decode.pieces):
        if of.commit_step_G[i] < 0:
            table.add_row(str(i), "(mask)")
            continue
        table.add_row(
            str(i),
            Text(f"'{printable(piece, keep='')}'"),
            str(of.commit_step_G[i]),
            f"{of.entropy_G[i]:.3f}",
            f"{of.prob_G[i]:.3f}",
            str(of.rank_G[i]),
        )
    return table


def _summary(decode: Decode) -> str:
    of = decode.trajectory
    ended = f"{of.length} tokens" if of.length < len(of.token_ids_G) else f"{of.length} tokens (all; no end of text)"
    parts = [f"order {decode.order}", f"NFE {of.nfe}", ended]
    if decode.grade is not None:
        verdict = "correct" if decode.grade.correct else "wrong"
        extracted = "no answer found" if decode.grade.extracted is None else f"answer {decode.grade.extracted}"
        parts.append(f"{verdict}: {extracted}, target {decode.target}")
    return printable(" · ".join(parts), keep="")
