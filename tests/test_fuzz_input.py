"""Whatever is written in a spec, a setting, a data file, a completions file or a plan is accepted or an InputError."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flexeval.errors import LONGEST_LINE, InputError, one_line
from flexeval.grpo.config import GRPOConfig, read_settings
from flexeval.models.families import FAMILIES, family_of
from flexeval.models.vocabulary import find_special_ids
from flexeval.orders import ORDERS, get_order
from flexeval.reading import read_rows
from flexeval.records import RunConfig, SamplingConfig
from flexeval.registry import parse_spec
from flexeval.reproduce.plan import read_plan
from flexeval.runs.completions import read_completions
from flexeval.runs.identity import config_from_dict
from flexeval.tasks import TASKS, get_task
from flexeval.tasks.gsm8k import GSM8K
from flexeval.tasks.prompts import BARE, find_template

FUZZ = settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])

ODD = ["", " ", "\0", "\x1b[31m", "9" * 5000, "-1", "1e999", "nan", "inf", "none", "true", "0x10", "1_0", "\u0663", "[",
       "{", "!!int x", "&a [*a]", "null", ".inf", "2024-99-99", "9223372036854775808", "\ud800", "é" * 300]  # fmt: skip
TEXT = st.text(max_size=20) | st.sampled_from(ODD)
NUMBER = st.integers() | st.integers(-2, 40) | st.floats() | st.sampled_from([2**63, -(2**63), 10**400, 1e308])
SCALAR = st.none() | st.booleans() | NUMBER | TEXT
VALUE = st.recursive(SCALAR, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3))


def accepted_or_refused(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except InputError as error:
        line = one_line(error)
        assert line and line.isprintable() and len(line) <= LONGEST_LINE
        return None


def written(content: str | bytes, name: str, read: Callable[[Path], Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))
        accepted_or_refused(lambda: read(path))


def specs(registry: Any, parameters: list[str]) -> st.SearchStrategy[str]:
    name = st.sampled_from([*registry, "parallel-3"]) | TEXT
    pair = st.tuples(st.sampled_from(parameters) | TEXT, SCALAR.map(_spelled)).map("=".join)
    return st.tuples(name, st.lists(pair | TEXT, max_size=3)).map(lambda s: ":".join([s[0], ",".join(s[1])]))


def _spelled(value: Any) -> str:
    return value if isinstance(value, str) else "9" * 5000 if isinstance(value, int) and value > 10**99 else str(value)


@FUZZ
@given(specs(ORDERS, ["gamma", "proxy", "tau", "factor", "k", "seed", "first_temperature"]))
def test_specs_of_orders(spec: str) -> None:
    order = accepted_or_refused(lambda: get_order(spec))
    if order is not None:
        assert get_order(order.spec) == order


@FUZZ
@given(specs(TASKS, ["facts", "size", "split", "template", "givens", "seed", "products", "max_start"]))
def test_specs_of_tasks(spec: str) -> None:
    accepted_or_refused(lambda: get_task(spec))
    accepted_or_refused(lambda: parse_spec(spec))


@FUZZ
@given(st.data())
def test_numbers_of_settings(data: st.DataObject) -> None:
    for record in (SamplingConfig, RunConfig, GRPOConfig):
        names = data.draw(st.lists(st.sampled_from(list(record.__dataclass_fields__)), max_size=4, unique=True))
        fields = {name: data.draw(SCALAR | VALUE, label=name) for name in names}
        made = accepted_or_refused(lambda record=record, fields=fields: record(**fields))
        if made is not None and record is SamplingConfig:
            json.dumps(vars(made), allow_nan=False).encode()


@FUZZ
@given(st.dictionaries(st.sampled_from(["model", "order", "sampling", "num_samples", "x"]) | TEXT, VALUE, max_size=4))
def test_stored_configurations(values: dict[str, Any]) -> None:
    accepted_or_refused(lambda: config_from_dict(values, where="config.json"))


KEYS = st.sampled_from(["question", "answer", "completion", "generation", "problem_id", "target"]) | TEXT
LINE = st.dictionaries(KEYS, VALUE, max_size=4).map(json.dumps) | TEXT | VALUE.map(json.dumps)


@FUZZ
@given(st.lists(LINE, max_size=3).map("\n".join) | st.binary(max_size=30))
def test_lines_of_data_files(content: str | bytes) -> None:
    written(content, "gsm8k_test.jsonl", lambda path: read_rows(path, what="x"))
    written(content, "gsm8k_test.jsonl", lambda path: GSM8K(data_dir=path.parent).problems())
    written(content, "gsm8k_test.jsonl.gz", lambda path: read_rows(path, what="x"))


@FUZZ
@given(st.lists(LINE, max_size=3).map("\n".join) | st.binary(max_size=30))
def test_lines_of_completions(content: str | bytes) -> None:
    written(content, "answers.jsonl", lambda path: read_completions(path, get_task("word-problems:size=2")))


NAMES = st.sampled_from(["title", "description", "ks", "parameters", "defaults", "trainings", "runs", "order", "steps",
                         "temperature", "gen_length", "model", "config", "user", "system"])  # fmt: skip
TREE = st.recursive(
    SCALAR, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES | TEXT, inner, max_size=3)
)
YAML = (
    TREE.map(json.dumps) | st.text(alphabet="ab:-[]{}&*!?|>'\"#%@`\n \t~,", max_size=40) | TEXT | st.binary(max_size=20)
)


def _pieces(tree: Any) -> str:
    return json.dumps({"runs": [{"order": ["ar"]}], **(tree if isinstance(tree, dict) else {"title": tree})})


@FUZZ
@given(YAML | TREE.map(_pieces))
def test_plans_and_other_yaml(content: str | bytes) -> None:
    written(content, "plan.yaml", read_plan)
    written(content, "c.yaml", lambda path: read_settings(str(path)))
    written(content, "p.yaml", lambda path: find_template(str(path), {"bare": BARE}, frozenset({"question"})))


FIELDS = ["d_model", "n_layers", "n_heads", "n_kv_heads", "vocab_size", "embedding_size", "max_sequence_length",
          "rope_theta", "rope_scaling", "rms_norm_eps", "weight_tying", "hidden_size", "num_hidden_layers",
          "model_type", "num_attention_heads", "intermediate_size", "max_position_embeddings", "head_dim"]  # fmt: skip
IDS = ["mask_token_id", "eos_token_id", "pad_token_id"]


@settings(FUZZ, max_examples=40)
@given(st.dictionaries(st.sampled_from(FIELDS), VALUE, max_size=5), st.dictionaries(st.sampled_from(IDS), VALUE))
@pytest.mark.parametrize("kind", list(FAMILIES))
def test_configurations_of_checkpoints(kind: str, config: dict[str, Any], ids: dict[str, Any]) -> None:
    sizes = {"d_model": 8, "n_layers": 1, "n_heads": 2, "vocab_size": 9, "max_sequence_length": 9, "hidden_size": 8}
    sizes |= {"num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8, "max_position_embeddings": 9}
    family = FAMILIES.get(kind)
    accepted_or_refused(lambda: family_of(config))
    accepted_or_refused(lambda: family.translate({**sizes, **config}))
    accepted_or_refused(lambda: find_special_ids("x", [ids], None, vocab_size=9))
