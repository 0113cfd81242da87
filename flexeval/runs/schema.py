"""What every stored field may be: the one declaration of types and ranges.

Strict: the text "false" is no truth value, 1 is none, and 3.0 is no count. Imports no torch.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NotRequired

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    with_config,
)
from typing_extensions import TypedDict

from flexeval.errors import InputError
from flexeval.runs.checksums import RESTORE

LONGEST = 60
"""Characters of a wrong value that a message repeats."""
_STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)


def _shown(text: str) -> str:
    """Names are printed as they are, so none may move a cursor or end a line."""
    if not all(character.isprintable() or unicodedata.category(character) == "Zs" for character in text):
        raise ValueError("should hold printable characters only")
    return text


Name = Annotated[str, AfterValidator(_shown)]
Count = Annotated[int, Field(ge=0, lt=2**31)]
Positive = Annotated[int, Field(ge=1, lt=2**31)]
Amount = Annotated[float, Field(ge=0)]


@with_config(_STRICT)
class ProblemLine(TypedDict):
    """A line of problems.jsonl."""

    id: Name
    question: str
    target: str
    prompt_length: Count
    prompt_hash: str
    data_hash: NotRequired[str]


@with_config(_STRICT)
class SampleLine(TypedDict):
    """A line of samples.jsonl."""

    problem_id: str
    sample_index: Count
    text: str
    extracted: str | None
    rule: str | None
    correct: bool
    error: str | None
    nfe: Count
    length: Count


@with_config(_STRICT)
class EffortLine(TypedDict):
    """A line of sampling.jsonl."""

    samples: Count
    seconds: Amount
    evaluations: Annotated[int, Field(ge=0)]
    distinct: Annotated[int, Field(ge=0)]


Environment = Annotated[dict[Name, Name | int | None], Field(min_length=1)]


@with_config(_STRICT)
class StretchLine(EffortLine):
    """The same since format 2: where the token rows are, and what the samples were drawn with."""

    shard: Annotated[str, Field(pattern=r"^part-[0-9]{5,}-[0-9a-f]{16}\.parquet$")]
    environment: Environment


@with_config(_STRICT)
class _Isolation(TypedDict):
    landlock: Count
    seccomp: bool
    namespaces: bool
    user: Count | None
    python: Name
    missing: dict[str, str]


@with_config(ConfigDict(strict=True, extra="allow"))
class _Fingerprint(TypedDict):
    weights: Name
    network: Name
    vocabulary: Name


def _has_device_and_dtype(environment: dict[str, Any]) -> dict[str, Any]:
    for name in ("device", "dtype"):
        if not isinstance(environment.get(name), str):
            raise ValueError(f"should have a text {name!r}")
    return environment


@with_config(ConfigDict(strict=True, extra="allow"))
class Names(TypedDict):
    """The names in a configuration, which are printed; `RunConfig` and `SamplingConfig` check everything else of it."""

    model: NotRequired[Name]
    task: NotRequired[Name]
    order: NotRequired[Name]


@with_config(ConfigDict(strict=True, extra="allow"))
class _Lineage(TypedDict):
    base: Name
    training: Name
    rollout_order: Name
    step: Count
    samples: Count
    seconds: Amount


@with_config(ConfigDict(strict=True, extra="allow", allow_inf_nan=False))
class ConfigFile(TypedDict):
    """config.json. Fields that are not here are for people."""

    format: Count
    id: NotRequired[Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]]
    problems: NotRequired[Positive]
    config: Names
    environment: Annotated[Environment, AfterValidator(_has_device_and_dtype)]
    model: NotRequired[_Fingerprint]
    first_prompt: NotRequired[dict[str, str]]
    task_source: NotRequired[dict[str, Any] | None]
    isolation: NotRequired[_Isolation | None]
    prompt_template: NotRequired[dict[str, str] | None]
    lineage: NotRequired[_Lineage | None]


CONFIG_FILE: TypeAdapter[Any] = TypeAdapter(ConfigFile)
PROBLEMS: TypeAdapter[Any] = TypeAdapter(list[ProblemLine])
SAMPLES: TypeAdapter[Any] = TypeAdapter(list[SampleLine])
EFFORTS: TypeAdapter[Any] = TypeAdapter(list[EffortLine])
STRETCHES: TypeAdapter[Any] = TypeAdapter(list[StretchLine])
NAMES: TypeAdapter[Any] = TypeAdapter(Names)


def check(kind: TypeAdapter[Any], value: Mapping[str, Any], *, where: str, remedy: str = RESTORE) -> None:
    """Raise InputError, with the field that is wrong, unless a value is of a kind.

    Args:
        kind: one of the above.
        value: as JSON gives it.
        where: what messages call it.
        remedy: what they advise.
    """
    try:
        kind.validate_python(value)
    except ValidationError as error:
        raise _refusal(error, where, remedy, drop=0) from None


def check_rows(
    kind: TypeAdapter[Any], rows: Sequence[Mapping[str, Any]], *, where: str | Path, remedy: str = RESTORE
) -> None:
    """The same of the rows of a file; the message has the line."""
    try:
        kind.validate_python(rows)
    except ValidationError as error:
        number = int(error.errors(include_url=False)[0]["loc"][0]) + 1
        raise _refusal(error, f"{where}, line {number}", remedy, drop=1) from None


def _refusal(error: ValidationError, where: str, remedy: str, *, drop: int) -> InputError:
    """The first of the errors in one line; `drop` parts of its path are told already."""
    first = error.errors(include_url=False)[0]
    field = ".".join(map(str, first["loc"][drop:]))
    if first["type"] == "missing":
        return InputError(f"{where}: field {field!r} is missing; {remedy}")
    if first["type"] == "extra_forbidden":
        return InputError(f"{where}: field {field!r} is not known; {remedy}")
    found, rule = repr(first["input"]), first["msg"].removeprefix("Value error, ").replace("Input should", "should")
    found = found if len(found) <= LONGEST else f"{found[:LONGEST]}…"
    return InputError(f"{where}: field {field!r} is {found}, and {rule}; {remedy}")
