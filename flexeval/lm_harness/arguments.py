"""lm-eval's arguments -> flexeval's records: what `--model_args` and a request's generation arguments say.

Both arrive as whatever lm-eval made of the text: 1, 1.0, "1" or None. Field names, types and defaults are those of
`SamplingConfig`; nothing is declared a second time.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flexeval.errors import InputError, did_you_mean
from flexeval.orders import get_order
from flexeval.records import SamplingConfig
from flexeval.registry import convert

LENGTH_NAMES = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens", "gen_length")
"""What tasks and users call the generated positions."""

FIELDS = tuple(field.name for field in dataclasses.fields(SamplingConfig))


@dataclass(frozen=True, kw_only=True)
class Generation:
    """How one `generate_until` request is answered."""

    order: str
    """Canonical `name:param=value,...`."""
    sampling: SamplingConfig
    until: tuple[str, ...]
    """The text ends before the first of these."""


def read_generation(
    asked: Mapping[str, Any], *, order: str, sampling: Mapping[str, Any], gen_length: int | None
) -> Generation:
    """What a request asks for; what it leaves open is the model's, then `SamplingConfig`'s.

    Args:
        asked: the request's generation arguments: `until`, the length under any of `LENGTH_NAMES`, `do_sample`,
            `order`, and every field of `SamplingConfig`. `do_sample: false` is temperature 0.
        order: the model's.
        sampling: the fields of `SamplingConfig` that the model was given.
        gen_length: the task's, which the model's precedes; None where the task has none.

    Raises:
        InputError: an unknown argument, a value of the wrong type, or two lengths.
    """
    known = {"until", "do_sample", "order", *LENGTH_NAMES, *FIELDS}
    for name in asked:
        if name not in known:
            raise did_you_mean("generation argument", name, known)
    given = {name: value for name, value in asked.items() if value is not None}

    lengths = [name for name in LENGTH_NAMES if name in given]
    if len({given[name] for name in lengths}) > 1:
        raise InputError(
            f"the generation arguments {' and '.join(lengths)} say different lengths; "
            f"keep one of them (--gen_kwargs {lengths[0]}=... overrides the task's)"
        )
    fields = read_fields({name: given[name] for name in FIELDS if name in given}, what="generation argument")
    if lengths:
        fields["gen_length"] = read_value(given[lengths[0]], int, what=f"generation argument {lengths[0]!r}")
    if "do_sample" in given and not read_value(given["do_sample"], bool, what="generation argument 'do_sample'"):
        fields["temperature"] = 0.0

    of_task = {} if gen_length is None else {"gen_length": gen_length}
    until = given.get("until", ())
    return Generation(
        order=read_order(given.get("order", order)),
        sampling=SamplingConfig(**{**of_task, **sampling, **fields}),
        until=tuple(filter(None, (until,) if isinstance(until, str) else map(str, until))),
    )


def read_order(spec: Any) -> str:
    """The canonical spec of an order.

    Several parameters are separated by `;` where a comma would end the argument: `eb:gamma=0.2;proxy=margin`.

    Raises:
        InputError: an unknown order or parameter.
    """
    return get_order(str(spec).replace(";", ",")).spec


def read_fields(values: Mapping[str, Any], *, what: str) -> dict[str, Any]:
    """Fields of `SamplingConfig`, each in the type of the field.

    Args:
        values: field -> what lm-eval made of its text.
        what: how messages call such a field.

    Raises:
        InputError: an unknown field, or a value of the wrong type.
    """
    hints = typing.get_type_hints(SamplingConfig)
    for name in values:
        if name not in hints:
            raise did_you_mean(what, name, hints)
    return {name: read_value(value, hints[name], what=f"{what} {name!r}") for name, value in values.items()}


def read_value(value: Any, hint: Any, *, what: str) -> Any:
    """A value of type `hint`. Raises InputError, calling it `what`, when it cannot be one."""
    # lm-eval reads "-1" as -1.0.
    text = str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
    return convert(text, hint, what=what)
