"""What a run folder consists of: its files, the records in them, and what every field may be.

This is the one declaration of types and ranges. It is strict: neither the text "false" nor 1 is a truth value, and 3.0
is not a count. Imports no torch.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, ClassVar, Literal, NotRequired

import numpy as np
from pydantic import AfterValidator, ConfigDict, Field, Strict, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict

from flexeval.errors import InputError, is_printable
from flexeval.models.attention import Kind
from flexeval.records import Grade, Problem, RunConfig, SamplingEffort, Trajectory
from flexeval.runs.files import RESTORE
from flexeval.runs.shards import WHOLE, Shard

CONFIG = "config.json"
PROBLEMS = "problems.jsonl"
SAMPLES = "samples.jsonl"
JOURNAL = "sampling.jsonl"
TOKENS = "tokens"
WORDS, COUNTERFACTUAL = "words", "counterfactual"
DERIVED = (f"{WORDS}-", f"{COUNTERFACTUAL}-")
"""How the names of files begin that are made of a run's token rows and may lie beside them."""
SUMMARY = "summary.json"
LOCK = ".lock"
FORMAT, UNCHECKED_FORMAT = 2, 1
"""Of the whole folder; grows when a reader of the old one would misread the new one. Format 1 has no checksums: it can
be read, and nothing is added to it."""
LONGEST = 60
"""Characters of a wrong value that a message repeats."""

SampleKey = tuple[str, int]
"""Problem id and sample index."""

# ----- what a field may be -----


def _printable(text: str) -> str:
    """Names are printed as they are."""
    if not is_printable(text):
        raise ValueError("should hold printable characters only")
    return text


Text = Annotated[str, Strict()]
Name = Annotated[str, Strict(), AfterValidator(_printable)]
Count = Annotated[int, Strict(), Field(ge=0, lt=2**31)]
Positive = Annotated[int, Strict(), Field(ge=1, lt=2**31)]
Total = Annotated[int, Strict(), Field(ge=0)]
Amount = Annotated[float, Strict(), Field(ge=0)]
Environment = Annotated[dict[Name, Name | int | None], Strict(), Field(min_length=1)]
TokenFile = Annotated[str, Strict(), Field(pattern=r"^part-[0-9]{5,}-[0-9a-f]{16}\.parquet$")]
RevisedShard = Annotated[str, Strict(), Field(pattern=r"^revised-[0-9]{5,}-[0-9a-f]{16}\.parquet$")]

# A dataclass in strict mode would take instances only; that is why its fields are strict one by one.
_RECORD = ConfigDict(extra="forbid", allow_inf_nan=False)
_STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)
_OPEN = ConfigDict(strict=True, extra="allow", allow_inf_nan=False)


# ----- problems.jsonl, samples.jsonl, sampling.jsonl -----


@dataclass(frozen=True, kw_only=True)
class StoredProblem:
    """A line of problems.jsonl: enough to read the run without its task, and to notice that the data changed."""

    __pydantic_config__: ClassVar[ConfigDict] = _RECORD

    id: Name
    question: Text
    target: Text
    prompt_length: Count
    """Tokens."""
    prompt_hash: Text
    """Of the token ids, which depend on wording, chat template and tokenizer."""
    data_hash: Text = ""
    """Of the problem with all that its grader reads, tests for example; empty in format 1."""


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
    capped: NotRequired[Literal[True]]
    """Left out unless revising was ended, see `Trajectory.capped`."""
    verdicts: NotRequired[Annotated[dict[Name, bool], Field(min_length=1)]]
    """The task's own, beside `correct`; left out where it gives none."""


SAMPLE_FIELDS = tuple(SampleLine.__annotations__)


@dataclass(frozen=True, kw_only=True)
class EffortLine(SamplingEffort):
    """A line of sampling.jsonl in format 1."""

    __pydantic_config__: ClassVar[ConfigDict] = _RECORD

    samples: Count
    seconds: Amount
    evaluations: Total
    distinct: Total


@dataclass(frozen=True, kw_only=True)
class Flush(EffortLine):
    """A line of sampling.jsonl: what one write stored, and what it took to sample."""

    shard: TokenFile | None
    """The file of the token rows; None for samples that another program drew."""
    environment: Environment
    """What the samples were drawn with."""
    revised: RevisedShard | None = None
    """The file of what was taken back; None, and left out of the line, where nothing was."""
    forecast: Amount | None = None
    """Seconds that all that was missing was expected to take when a command began: on its first line, and left out
    elsewhere and where that is less than a minute."""

    def as_dict(self) -> dict[str, Any]:
        """The line."""
        line = dataclasses.asdict(self)
        return {name: value for name, value in line.items() if value is not None or name not in _LEFT_OUT}


_LEFT_OUT = ("revised", "forecast")
"""Fields of the journal that are not written where they say nothing."""


@dataclass(frozen=True, kw_only=True)
class GradedSample:
    """A finished sample, ready to be stored."""

    trajectory: Trajectory
    text: str
    pieces: Sequence[str]
    """The text that each of the `gen_length` tokens adds."""
    grade: Grade
    old_pieces: Sequence[str] = ()
    """The text of each token that was taken back."""


def stored_problem(problem: Problem, prompt_ids: Sequence[int]) -> StoredProblem:
    """What is kept of a problem and its encoded prompt."""
    digest = hashlib.sha256(",".join(map(str, prompt_ids)).encode()).hexdigest()[:16]
    return StoredProblem(
        id=problem.id,
        question=problem.question,
        target=problem.target,
        prompt_length=len(prompt_ids),
        prompt_hash=digest,
        data_hash=data_hash(problem),
    )


def data_hash(problem: Problem) -> str:
    """A hash of question, target and metadata. Numbers and arrays of numpy's count by their values, of other metadata
    that JSON cannot hold only the type.
    """
    content = [problem.question, problem.target, dict(problem.metadata)]
    text = json.dumps(content, skipkeys=True, default=_as_json)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _as_json(value: object) -> Any:
    return value.tolist() if isinstance(value, np.generic | np.ndarray) else type(value).__name__


def total_effort(efforts: Iterable[SamplingEffort]) -> SamplingEffort:
    """The sum of several efforts."""
    efforts = list(efforts)
    names = [field.name for field in dataclasses.fields(SamplingEffort)]
    return SamplingEffort(**{name: sum(getattr(effort, name) for effort in efforts) for name in names})


# ----- config.json -----


@dataclass(frozen=True, kw_only=True)
class Header:
    """What config.json holds."""

    format: int
    config: RunConfig
    record: Mapping[str, Any]
    """Model, environment, source of the data, isolation, prompts, lineage."""
    key: str
    """Of the checksums, so that files of another run are refused; see `run_key`. Empty in format 1."""
    problems: int | None
    """How many lines of problems.jsonl count; a kill may leave more. None in format 1."""
    shard: Shard = WHOLE
    """Which of these problems the folder is for."""


@with_config(_STRICT)
class _Isolation(TypedDict):
    landlock: Count
    seccomp: bool
    namespaces: bool
    user: Count | None
    python: Name
    missing: dict[str, str]


@with_config(_STRICT)
class _Shard(TypedDict):
    index: Count
    count: Positive


@with_config(_OPEN)
class FingerprintFields(TypedDict):
    """The parts of a model's fingerprint that say which model it is."""

    weights: Name
    network: Name
    vocabulary: Name


@with_config(_STRICT)
class _AttentionRule(TypedDict):
    """`flexeval.models.attention.Attention`."""

    kind: Kind
    block: Positive | None
    from_prompt: bool
    first_token_apart: bool
    forgets: Count | None


@with_config(_OPEN)
class _Lineage(TypedDict):
    base: Name
    training: Name
    rollout_order: Name
    step: Count
    samples: Count
    seconds: Amount


@with_config(ConfigDict(strict=True, extra="allow"))
class Names(TypedDict):
    """The names in a configuration, which are printed; `RunConfig` and `SamplingConfig` check all other settings."""

    model: NotRequired[Name]
    task: NotRequired[Name]
    order: NotRequired[Name]
    adapter: NotRequired[Name | None]


def _has_device_and_dtype(environment: dict[str, Any]) -> dict[str, Any]:
    for name in ("device", "dtype"):
        if not isinstance(environment.get(name), str):
            raise ValueError(f"should have a text {name!r}")
    return environment


@with_config(_OPEN)
class ConfigFile(TypedDict):
    """config.json. Fields that are not listed here are for people."""

    format: Count
    id: NotRequired[Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]]
    problems: NotRequired[Positive]
    shard: NotRequired[_Shard]
    config: Names
    environment: Annotated[Environment, AfterValidator(_has_device_and_dtype)]
    model: NotRequired[FingerprintFields]
    attention_rule: NotRequired[_AttentionRule]
    order_code: NotRequired[Name]
    task_code: NotRequired[Name]
    first_prompt: NotRequired[dict[str, str]]
    task_source: NotRequired[dict[str, Any] | None]
    isolation: NotRequired[_Isolation | None]
    prompt_template: NotRequired[dict[str, str] | None]
    lineage: NotRequired[_Lineage | None]


# ----- checking -----


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def check(kind: type, value: object, *, where: str, remedy: str = RESTORE) -> None:
    """Raise InputError, with the field that is wrong, unless a JSON object is of a kind.

    Args:
        kind: `ConfigFile`, `Names`, or another such declaration.
        value: as JSON gives it.
        where: how messages call it.
        remedy: what they advise.
    """
    try:
        _adapter(kind).validate_python(value)
    except ValidationError as error:
        raise _refusal(error, where, remedy, depth=0) from None


def checked_rows(kind: Any, rows: Sequence[Mapping[str, Any]], *, where: str, remedy: str = RESTORE) -> list[Any]:
    """The rows of a file as records of a kind. Raises InputError as `check`, with the number of the line."""
    try:
        records: list[Any] = _adapter(list[kind]).validate_python(rows)
    except ValidationError as error:
        number = int(error.errors(include_url=False)[0]["loc"][0]) + 1
        raise _refusal(error, f"{where}, line {number}", remedy, depth=1) from None
    return records


def check_samples(rows: Sequence[Mapping[str, Any]], *, where: str, remedy: str = RESTORE) -> None:
    """Raise InputError for a row that is not a finished and graded sample."""
    checked_rows(SampleLine, rows, where=where, remedy=remedy)
    for number, row in enumerate(rows, start=1):
        if row["correct"] and row["error"] is not None:
            raise InputError(f"{where}, line {number}: correct, and with an error ({row['error'][:60]!r}); {remedy}")


def _refusal(error: ValidationError, where: str, remedy: str, *, depth: int) -> InputError:
    """The first of the errors in one line; `where` already says the first `depth` parts of its path."""
    first = error.errors(include_url=False)[0]
    field = ".".join(map(str, first["loc"][depth:]))
    if first["type"] == "missing":
        return InputError(f"{where}: field {field!r} is missing; {remedy}")
    if first["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        return InputError(f"{where}: field {field!r} is not known; {remedy}")
    found, rule = repr(first["input"]), first["msg"].removeprefix("Value error, ").replace("Input should", "should")
    found = found if len(found) <= LONGEST else f"{found[:LONGEST]}…"
    return InputError(f"{where}: field {field!r} is {found}, and {rule}; {remedy}")
