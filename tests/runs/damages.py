"""What can happen to a stored run: a row here is tried on every reader by `test_damage.py`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

from flexeval.runs.layout import CONFIG, JOURNAL, PROBLEMS, SAMPLES, SUMMARY, TOKENS

Damage = Callable[[Path, Path], None]
"""(run folder, another run's folder): damages the first. Both hold a finished run with its counterfactual."""

LINES = (PROBLEMS, SAMPLES, JOURNAL)
FILES = (CONFIG, SUMMARY, *LINES, f"{TOKENS}/part-00000*.parquet", "counterfactual*.parquet")


def find(folder: Path, pattern: str) -> Path:
    """The file that has this name, up to a checksum in it."""
    (path,) = folder.glob(pattern)
    return path


def _bytes(change: Callable[[bytes], bytes], name: str) -> Damage:
    def damage(run: Path, _other: Path) -> None:
        path = find(run, name)
        path.write_bytes(change(path.read_bytes()))

    return damage


def _lines(change: Callable[[list[bytes]], list[bytes]], name: str) -> Damage:
    return _bytes(lambda data: b"".join(change(data.splitlines(keepends=True))), name)


def _field(name: str, field: str, value: object) -> Damage:
    """Another value in the first line, or in the object, as an editor would put it there."""

    def change(data: bytes) -> bytes:
        text = data.decode()
        first, rest = text.split("\n", 1) if name in LINES else (text, "")
        values = json.loads(first)
        inner = values
        *path, last = field.split(".")
        for part in path:
            inner = inner[part]
        inner[last] = value
        separator = "\n" if rest else ""
        return f"{json.dumps(values, indent=None if name in LINES else 2)}{separator}{rest}".encode()

    return _bytes(change, name)


def _gone(name: str) -> Damage:
    return lambda run, _other: find(run, name).unlink()


def _folder(run: Path, _other: Path, *, name: str) -> None:
    path = find(run, name)
    path.unlink()
    path.mkdir()


def _of_another_run(run: Path, other: Path, *, name: str) -> None:
    shutil.copyfile(find(other, name), find(run, name))


def _named_as_there(run: Path, other: Path, *, name: str) -> None:
    find(run, name).rename(find(run, name).with_name(find(other, name).name))


def _shard_copied(run: Path, _other: Path) -> None:
    path = find(run, FILES[5])
    shutil.copyfile(path, path.with_name(path.name.replace("part-00000", "part-00007")))


def _no_tokens(run: Path, _other: Path, *, left: bytes | None) -> None:
    shutil.rmtree(run / TOKENS)
    if left is not None:
        (run / TOKENS).write_bytes(left)


DAMAGES: dict[str, Damage] = {}
for _name in FILES:
    DAMAGES |= {
        f"{_name} is missing": _gone(_name),
        f"{_name} is empty": _bytes(lambda _: b"", _name),
        f"{_name} is a folder": partial(_folder, name=_name),
        f"{_name} is cut in half": _bytes(lambda data: data[: len(data) // 2], _name),
        f"{_name} lost its first byte": _bytes(lambda data: data[1:], _name),
        f"{_name} lost its last byte": _bytes(lambda data: data[:-1], _name),
        f"{_name} lost its last two bytes": _bytes(lambda data: data[:-2], _name),
        f"{_name} has a byte more": _bytes(lambda data: data + b"x", _name),
        f"{_name} is not UTF-8": _bytes(lambda data: data[:30] + b"\xff" + data[30:], _name),
        f"{_name} has zeros in it": _bytes(lambda data: data[:40] + bytes(40) + data[80:], _name),
        f"{_name} is there twice over": _bytes(lambda data: data + data, _name),
        f"{_name} is of another run": partial(_of_another_run, name=_name),
        f"{_name} is a list": _bytes(lambda _: b"[]\n", _name),
        f"{_name} is NaN": _bytes(lambda _: b"NaN\n", _name),
        f"{_name} is nested deeply": _bytes(lambda _: b'{"a":' * 100_000, _name),
        f"{_name} is a number of 5,000 digits": _bytes(lambda _: b'{"a": ' + b"9" * 5000 + b"}", _name),
    }
for _name in LINES:
    DAMAGES |= {
        f"{_name} lost its first line": _lines(lambda lines: lines[1:], _name),
        f"{_name} lost its last line": _lines(lambda lines: lines[:-1], _name),
        f"{_name} lost a line": _lines(lambda lines: [*lines[:1], *lines[2:]], _name),
        f"{_name} has a line twice": _lines(lambda lines: [*lines[:1], *lines], _name),
        f"{_name} has its first line at the end, too": _lines(lambda lines: [*lines, lines[0]], _name),
        f"{_name} has its lines the other way around": _lines(lambda lines: lines[::-1], _name),
        f"{_name} has an empty line": _lines(lambda lines: [*lines[:1], b"\n", *lines[1:]], _name),
        f"{_name} has a line of another kind": _lines(lambda lines: [b'{"a": 1}\n', *lines[1:]], _name),
        f"{_name} has Windows' line ends": _bytes(lambda data: data.replace(b"\n", b"\r\n"), _name),
        f"{_name} has a name twice in a line": _bytes(lambda data: data.replace(b"{", b'{"text": "1", ', 1), _name),
    }
DAMAGES |= {
    f"{name}: {field} = {value!r}": _field(name, field, value)
    for name, field, values in (
        (SAMPLES, "correct", ("false", 1, None, True)),
        (SAMPLES, "nfe", (-5, 2.5, 10**30, float("inf"), float("nan"), "3", 7)),
        (SAMPLES, "length", (-1, 9, 0)),
        (SAMPLES, "sample_index", (77, -1, True)),
        (SAMPLES, "problem_id", ("q", "p1", 3)),
        (SAMPLES, "text", (None, 3, "\ud800", "other")),
        (SAMPLES, "error", ("", "why")),
        (SAMPLES, "more", (1,)),
        (PROBLEMS, "id", ("p1", "", "\x1b[2J", 3)),
        (PROBLEMS, "target", ("0 ", None)),
        (PROBLEMS, "prompt_length", (-1, 10**30)),
        (JOURNAL, "samples", (-4, 4, 10**30, "16")),
        (JOURNAL, "seconds", (-1.0, float("inf"), None)),
        (JOURNAL, "distinct", (10**9,)),
        (JOURNAL, "shard", ("../config.json", "part-00000-0123456789abcdef.parquet", None)),
        (JOURNAL, "environment", (None, {}, 3)),
        (CONFIG, "format", (0, 1, 3, True, "2", None)),
        (CONFIG, "problems", (0, 2, 10**9)),
        (CONFIG, "id", ("", "0123456789abcdef", 3)),
        (CONFIG, "config", (None, 3, [])),
        (CONFIG, "config.model", ("other", "\x1b[31mred", 3)),
        (CONFIG, "config.order", ("random", "sideways", None)),
        (CONFIG, "config.num_samples", (1, 10**9, "4", 0)),
        (CONFIG, "config.sampling.temperature", (0.7, float("nan"), "hot", -1)),
        (CONFIG, "config.sampling.gen_length", (4, 10**30)),
        (CONFIG, "config.sampling.schedule", ("odd",)),
        (CONFIG, "environment", (None, {}, [], "cpu")),
        (CONFIG, "first_prompt", (None, "x")),
        (CONFIG, "lineage", ({}, {"base": "a\nb"}, 3)),
        (CONFIG, "isolation", ({}, 3)),
        (CONFIG, "prompt_template", ({"user": 3}, 3)),
        (SUMMARY, "samples", (12, -1, None)),
        (SUMMARY, "checksums", (None, {})),
        (SUMMARY, "correct", (0,)),
    )
    for value in values
}
DAMAGES |= {
    "tokens is missing": partial(_no_tokens, left=None),
    "tokens is a file": partial(_no_tokens, left=b"x"),
    "tokens has a shard twice": _shard_copied,
    "tokens has a shard under another's name": partial(_named_as_there, name=FILES[5]),
}
