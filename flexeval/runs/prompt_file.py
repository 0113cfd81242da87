"""Prompts in, texts out: a file of prompts becomes a file of texts, one line a sample, without task and run folder.

The file of texts grows by whole lines while samples finish, and is put in the order of the prompts at the end. Every
line carries the id of its sample, a hash of all that decides it, so that the same command continues after a stop, and
draws only what is missing when there are more prompts or samples.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from flexeval.errors import InputError, PluginError, encodable
from flexeval.hashing import json_hash
from flexeval.models.predictor import MaskPredictor, encode_prompt, fingerprint_of, text_of
from flexeval.reading import COMPRESSED, read_rows, require_text
from flexeval.records import Prompt, Trajectory
from flexeval.runs.answered import IDS, QUESTIONS
from flexeval.runs.files import append_bytes, cut_lines, parse_object, to_json
from flexeval.runs.storage import Progress
from flexeval.runs.target import is_regular, write_target
from flexeval.sampling import Sampler, SampleRequest

SAMPLE_ID = "sample_id"
TEXT = "completion"
"""The field of the text, unless the user names another."""
_OURS = ("sample_index", "tokens", "nfe", SAMPLE_ID)
"""The other fields of a line that its prompt's row does not have."""
FLUSH_SECONDS = 5.0
"""Time between writes."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A row of the file of prompts."""

    place: str
    """For messages: the file and the line."""
    text: str
    name: str | None
    """Its id, which is the key of its random numbers; None where the row has none, and the prompt itself is."""
    row: Mapping[str, Any]


def read_prompts(
    path: str | Path, *, prompt_field: str | None = None, id_field: str | None = None, text_field: str = TEXT
) -> list[Asked]:
    """The prompts of a file.

    Args:
        path: JSONL, JSON or Parquet; see `flexeval.reading.read_rows`.
        prompt_field: the field with the prompt; None takes the first of `prompt` and its like that a row has.
        id_field: the field with the id; None takes the first of `problem_id` and its like that a row has, if any.
        text_field: the field that the text will have, as of `draw_texts`.

    Raises:
        InputError: a file or row that cannot be read, a row without the field or with one that a line of texts has
            beside those of its row, or an id that is there twice.
    """
    if text_field in _OURS:
        raise InputError(f"--text-field {text_field!r} is a field that every line of the texts has; name another")
    found: list[Asked] = []
    places: dict[str, str] = {}
    for row in read_rows(Path(path), what="prompts").rows:
        prompts = ("prompt", *QUESTIONS) if prompt_field is None else (prompt_field,)
        text = next((row[name] for name in prompts if row.values.get(name) is not None), None)
        if not isinstance(text, str):
            others = "" if prompt_field is not None else f" (or one of {', '.join(QUESTIONS)})"
            raise InputError(f"{row.place} has no field {prompts[0]!r} with a text{others}; name it in --prompt-field")
        require_text(text, what=f"the prompt of {row.place}")
        if text_field in row.values:
            raise InputError(
                f"{row.place} has a field {text_field!r}, as the text is to be called; name another --text-field"
            )
        if clash := next((name for name in _OURS if name in row.values), None):
            raise InputError(f"{row.place} has a field {clash!r}, as every line of the texts will; rename it")
        names = IDS if id_field is None else (id_field,)
        stated = next((row[name] for name in names if isinstance(row.values.get(name), str | int)), None)
        if stated is None and id_field is not None:
            raise InputError(f"{row.place} has no field {id_field!r} with a text or a number; name another --id-field")
        name = None if stated is None else encodable(str(stated))
        if name is not None and places.setdefault(name, row.place) != row.place:
            raise InputError(
                f"{row.place} has the id {name!r}, as {places[name]} has; make ids unique, or name another --id-field"
            )
        try:
            to_json(row.values)
        except (TypeError, ValueError) as error:
            raise InputError(f"{row.place} holds what JSON cannot ({error}); leave it out") from None
        found.append(Asked(place=row.place, text=text, name=name, row=row.values))
    return found


def check_name(out: str) -> None:
    """Raise InputError for a name of a file of texts that says another form than lines of JSON."""
    suffix = Path(out).suffix
    if suffix in (*COMPRESSED, ".parquet"):
        raise InputError(f"texts are written as JSON, one line a sample, and {out!r} ends in {suffix}; call it .jsonl")


def draw_texts(
    asked: Sequence[Asked],
    out: str | Path,
    *,
    sampler: Sampler,
    date: str,
    num_samples: int,
    text_field: str = TEXT,
    progress: Callable[[Progress], None] | None = None,
) -> None:
    """Draw what the file of texts lacks. A line has the fields of its prompt's row, `sample_index`, the text, its
    tokens, the evaluations it took (`nfe`), and the id of the sample.

    Whatever ends it, calling it again continues, unless the file is no regular one.

    Args:
        asked: the prompts, each given to the model as the user's turn.
        out: the file of texts.
        sampler: with model, order and settings.
        date: what a chat template gets that asks for the date.
        num_samples: of each prompt.
        text_field: the field of the text.
        progress: called once at the start, and after every sample.

    Raises:
        InputError: a prompt that is too long, a file of other prompts or settings, or a name that `check_name` refuses.
        OSError: the file cannot be written; what was stored before stays.
    """
    out = str(out)
    check_name(out)
    requests = _requests(asked, sampler, date=date, num_samples=num_samples)
    with _grown(out, requests) as (stored, store):
        missing = {id_: request for id_, (request, _) in requests.items() if id_ not in stored}
        ids = {(request.problem_id, request.sample_index): id_ for id_, request in missing.items()}
        report = progress or (lambda _: None)
        report(Progress(done=len(stored), total=len(requests), correct=0))
        for trajectory in sampler.run(missing.values()) if missing else ():
            id_ = ids[trajectory.problem_id, trajectory.sample_index]
            store(id_, _line(requests[id_][1].row, trajectory, sampler.predictor, text_field, id_))
            report(Progress(done=len(stored), total=len(requests), correct=0))
    if missing or not is_regular(out):
        write_target(out, b"".join(stored[id_] for id_ in requests))


def _requests(
    asked: Sequence[Asked], sampler: Sampler, *, date: str, num_samples: int
) -> dict[str, tuple[SampleRequest, Asked]]:
    """Id of the sample -> what to draw, and for which prompt; in the order of the prompts."""
    model = sampler.predictor
    decides = {
        "model": list(fingerprint_of(model).parts.values()),
        "dtype": str(model.dtype),
        "order": sampler.order.spec,
        "sampling": dataclasses.asdict(dataclasses.replace(sampler.config, block_length=sampler.config.block)),
    }
    requests: dict[str, tuple[SampleRequest, Asked]] = {}
    seen: Counter[str] = Counter()
    for one in asked:
        try:
            ids = encode_prompt(model, Prompt(user=one.text, date=date), sampler.config.gen_length, of="")
        except PluginError:
            raise  # it is about the model
        except InputError as error:
            raise InputError(f"{one.place}: {error}") from None
        name = one.name if one.name is not None else blake2b(repr(ids).encode(), digest_size=8).hexdigest()
        for _ in range(num_samples):
            # A prompt without an id that is there again gets further samples.
            request = SampleRequest(problem_id=name, sample_index=seen[name], prompt_ids=ids)
            sample = json_hash({**decides, "prompt": ids, "name": name, "index": seen[name]})[:16]
            requests[sample] = (request, one)
            seen[name] += 1
    return requests


def _line(row: Mapping[str, Any], trajectory: Trajectory, model: MaskPredictor, text_field: str, sample: str) -> bytes:
    text = text_of(model, trajectory.token_ids_G[: trajectory.length].tolist())
    ours = {
        "sample_index": trajectory.sample_index,
        text_field: text,
        "tokens": trajectory.length,
        "nfe": trajectory.nfe,
        SAMPLE_ID: sample,
    }
    return (to_json({**row, **ours}) + "\n").encode()


# ----- the file of texts -----


@contextlib.contextmanager
def _grown(
    out: str, wanted: Mapping[str, tuple[SampleRequest, Asked]]
) -> Iterator[tuple[dict[str, bytes], Callable[[str, bytes], None]]]:
    """The lines that a file holds, by sample, and a function that adds one; locked until the end.

    Raises:
        InputError: a file of other samples, or one that another process is writing.
    """
    if not is_regular(out):
        lines: dict[str, bytes] = {}
        yield lines, lines.__setitem__
        return
    path = Path(out)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(f"{out} is being written by another process; wait for it to end") from None
        stored = _stored(path, wanted)
        waiting: list[bytes] = []
        flushed = time.monotonic()

        def store(sample: str, line: bytes) -> None:
            nonlocal flushed
            stored[sample] = line
            waiting.append(line)
            if time.monotonic() - flushed >= FLUSH_SECONDS:
                append_bytes(path, b"".join(waiting))
                waiting.clear()
                flushed = time.monotonic()

        try:
            yield stored, store
        finally:
            if waiting:
                append_bytes(path, b"".join(waiting))
    finally:
        if os.fstat(descriptor).st_size == 0:
            path.unlink(missing_ok=True)
        os.close(descriptor)


def _stored(path: Path, wanted: Mapping[str, tuple[SampleRequest, Asked]]) -> dict[str, bytes]:
    """The lines of a file, by sample. The beginning of one of our lines that a kill left is removed, once all else is
    known to be ours.

    Raises:
        InputError: a file of other samples, or of something else; it is untouched.
    """
    data = path.read_bytes()
    *lines, rest = data.split(b"\n")
    whole = len(data) - len(rest)
    if rest and not any(_may_begin(rest, one.row) for _, one in wanted.values()):
        lines, whole = [*lines, rest], len(data)
    stored: dict[str, bytes] = {}
    for number, line in enumerate(lines, start=1):
        sample = parse_object(line, where=f"{path}, line {number}").get(SAMPLE_ID)
        if not isinstance(sample, str) or sample not in wanted or sample in stored:
            raise InputError(
                f"{path}, line {number} is no sample of these prompts with this model and these settings; "
                "use another --out, or what the file was made with"
            )
        stored[sample] = line + b"\n"
    if rest:
        cut_lines(path, whole)
    return stored


def _may_begin(rest: bytes, row: Mapping[str, Any]) -> bool:
    """Whether some bytes may be the beginning of a line about a row, and not all of it."""
    begin = f'{to_json(row)[:-1]}, "sample_index": '.encode()
    if not rest.startswith(begin) and not begin.startswith(rest):
        return False
    try:
        parse_object(rest, where="")
    except InputError:
        return True
    return False
