"""lm-eval's arguments -> flexeval's records: what `--model_args` and a request's generation arguments say.

Both arrive as whatever lm-eval made of the text: 1, 1.0, "1" or None. Field names, types and defaults are those of
`SamplingConfig`; nothing is declared twice.
"""

from __future__ import annotations

import dataclasses
import typing
import warnings
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from flexeval.errors import InputError, Note, did_you_mean
from flexeval.models.recommended import recommended_sampling
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
    asked: Mapping[str, Any],
    *,
    order: str,
    sampling: Mapping[str, Any],
    gen_length: int | None,
    model: object = None,
) -> Generation:
    """What a request asks for. What it leaves open comes from the model, then from `SamplingConfig`.

    Args:
        asked: the request's generation arguments: `until`, the length under any of `LENGTH_NAMES`, `do_sample`,
            `order`, and every field of `SamplingConfig`. `do_sample: false` is temperature 0.
        order: the model's.
        sampling: the fields of `SamplingConfig` that the model was given.
        gen_length: the task's; None where it says none.
        model: whose recommended canvas is taken where the task says no length.

    Warns where a request that asks for greedy texts overrules a temperature.

    Raises:
        InputError: an unknown argument, a value of the wrong type, or two lengths.
    """
    given = {name: value for name, value in asked.items() if value is not None}
    order = read_order(given.get("order", order))
    refuse_unknown(
        asked, {"until", "do_sample", "order", *LENGTH_NAMES, *FIELDS}, what="generation argument", order=order
    )

    lengths = {
        name: read_value(given[name], int, what=f"generation argument {name!r}")
        for name in LENGTH_NAMES
        if name in given
    }
    if len(set(lengths.values())) > 1:
        raise InputError(
            f"the generation arguments {' and '.join(lengths)} say different lengths; "
            f"keep one of them (--gen_kwargs {next(iter(lengths))}=... overrides the task's)"
        )
    fields = read_fields({name: given[name] for name in FIELDS if name in given}, what="generation argument")
    if lengths:
        fields["gen_length"] = next(iter(lengths.values()))
    hoped = fields.get("temperature") or sampling.get("temperature")
    if "do_sample" in given and not read_value(given["do_sample"], bool, what="generation argument 'do_sample'"):
        fields["temperature"] = 0.0

    given_sampling = {**sampling, **fields}
    if hoped and given_sampling["temperature"] == 0:
        warnings.warn(
            f"a task asks for greedy texts (do_sample false, or temperature 0), which overrules temperature {hoped}; "
            f"to draw at it: --gen_kwargs do_sample=true temperature={hoped}",
            Note,
            stacklevel=2,
        )
    return Generation(
        order=order,
        sampling=recommended_sampling(model, **given_sampling)
        if gen_length is None
        else SamplingConfig(**{"gen_length": gen_length, **given_sampling}),
        until=_read_until(given.get("until", ())),
    )


def _read_until(value: Any) -> tuple[str, ...]:
    """The texts that end an answer, empty ones left out."""
    texts = (value,) if isinstance(value, str) else value
    if not isinstance(texts, list | tuple) or not all(isinstance(text, str) for text in texts):
        raise InputError(
            f"generation argument 'until' must be a text or a list of texts, not {value!r}; "
            'a number in quotes is one: \'{"until": ["5"]}\''
        )
    return tuple(filter(None, texts))


def refuse_unknown(names: Collection[str], known: Collection[str], *, what: str, order: str) -> None:
    """Raise InputError for an unknown name.

    Args:
        names: as they were written.
        known: all that there are.
        what: how messages call one of them.
        order: the decoding order beside them; if one of its parameters is among the names, a comma cut it off.

    Raises:
        InputError: a name that is not known.
    """
    parameters = {field.name for field in dataclasses.fields(get_order(order))}
    for name in names:
        if name in known:
            continue
        if name in parameters:
            written = f"{order.replace(',', ';')}{';' if ':' in order else ':'}{name}=..."
            raise InputError(
                f"unknown {what}: {name!r}, which is a parameter of the order; "
                f"separate an order's parameters by ';': 'order={written}'"
            )
        raise did_you_mean(what, name, known)


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
        InputError: a value of the wrong type.
    """
    hints = typing.get_type_hints(SamplingConfig)
    return {name: read_value(value, hints[name], what=f"{what} {name!r}") for name, value in values.items()}


def read_value(value: Any, hint: Any, *, what: str) -> Any:
    """A value of type `hint`. Raises InputError, calling it `what`, when it cannot be one."""
    # lm-eval reads "-1" as -1.0.
    text = str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
    return convert(text, hint, what=what)


def read_count(value: Any, name: str) -> int | None:
    """A model argument that is a whole number >= 1, or None. Raises InputError for anything else."""
    number: int | None = read_value(value, int | None, what=f"model argument {name!r}")
    if number is not None and number < 1:
        raise InputError(f"model argument {name!r} must be at least 1, not {number}")
    return number


def read_batch_size(asked: int | str | None, at_most: int | None) -> int | None:
    """lm-eval's batch size. "auto" and "auto:N" stand for `at_most`, or for None, which lets the sampler choose."""
    automatic = asked is None or str(asked).startswith("auto")
    return read_count(at_most if automatic else asked, "batch_size")
