"""Orders, tasks and models of others: what does not keep the contract is an error that names it and what to write."""

from __future__ import annotations

import copy
import itertools
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
import torch
from distributions import install
from oracles import RandomOracle

import flexeval
from flexeval.cli.main import main
from flexeval.errors import InputError, InputTypeError, PluginError
from flexeval.models.attention import Attention
from flexeval.orders import ORDERS, Order, get_order, take_highest
from flexeval.orders.order import check_order_class
from flexeval.records import DecodingState, Grade, Problem, Prompt, Revision, SamplingConfig
from flexeval.registry import Registry
from flexeval.runs.shards import Shard
from flexeval.sampling import Sampler, SampleRequest
from flexeval.tasks.task import check_task, check_task_class, grade_of, problems_of, prompt_of

CONFIG = SamplingConfig(gen_length=4, block_length=2)
READS = {"top_prob": ["top_prob_BG"], "margin": ["margin_BG"], "entropy": ["entropy_BG"], "uniform": ["uniform_BG"],
         "proposal": ["proposal_BG", "confidence_BG"]}  # fmt: skip


def draw(order: Any, model: Any = None) -> list[Any]:
    wanted = [SampleRequest(problem_id="p", sample_index=i, prompt_ids=[1, 2]) for i in range(3)]
    return list(Sampler(model or RandomOracle(words=6), order, CONFIG, batch_size=2).run(wanted))


def made(call: Callable[[DecodingState], Any], **members: Any) -> Order:
    """An order of these answers."""
    members = {"name": "mine", "__call__": lambda self, state: call(state), "__module__": __name__} | members
    return dataclass(frozen=True)(type("Mine", (Order,), members))()


def frontier(state: DecodingState) -> Any:
    chosen = np.zeros_like(state.eligible_BG)
    chosen[np.arange(len(chosen)), state.frontier_B] = True
    return chosen


# ----- orders -----


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("asked", [frozenset(), *(frozenset({read}) for read in READS)])
def test_what_an_order_did_not_ask_for_is_not_there(read: str, asked: frozenset[str]) -> None:
    for name in READS[read]:

        def choose(state: DecodingState, name: str = name) -> Any:
            return take_highest(getattr(state, name), state.eligible_BG, state.budget_B)

        order = made(choose, reads=asked)
        if read in asked:
            assert len(draw(order)) == 3
            continue
        with pytest.raises(PluginError, match=rf"order 'mine'.*state\.{name}.*add '{read}'"):
            draw(order)


def test_the_documented_order_without_its_reads_is_refused() -> None:
    page = (Path(flexeval.__file__).parents[1] / "docs" / "howto" / "own-order.md").read_text()
    code = page[page.index("from dataclasses import dataclass") :]
    code = code[: code.index("model = flexeval.load_model")]
    names: dict[str, Any] = {"__name__": __name__}
    exec(code, names)
    assert len(draw(names["MostUncertain"]())) == 3
    exec(code.replace('    reads = frozenset({"entropy"})\n', ""), names)
    with pytest.raises(PluginError, match=r"'most-uncertain'.*entropy_BG.*add 'entropy'"):
        draw(names["MostUncertain"]())


def test_a_state_can_be_printed_copied_and_changed() -> None:
    seen: list[DecodingState] = []

    def choose(state: DecodingState) -> Any:
        seen.append(state)
        return frontier(state)

    draw(made(choose, reads=frozenset({"entropy"})))
    state = seen[0]
    assert "eligible_BG" in repr(state)
    assert np.array_equal(copy.deepcopy(state).entropy_BG, state.entropy_BG, equal_nan=True)
    other = DecodingState(**{**vars(state), "budget_B": state.budget_B + 1})
    assert (other.budget_B == state.budget_B + 1).all() and other.entropy_BG is state.entropy_BG
    with pytest.raises(PluginError, match="margin_BG"):
        _ = other.margin_BG
    with pytest.raises(AttributeError, match="no field 'entropi_BG'"):
        _ = state.entropi_BG  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (lambda state: None, "boolean array of shape .*not None"),
        (lambda state: frontier(state).tolist(), "not a list"),
        (lambda state: frontier(state).astype(int), "int64"),
        (lambda state: frontier(state).astype(float), "float64"),
        (lambda state: np.where(frontier(state), 1.0, np.nan), "float64"),
        (lambda state: frontier(state)[:, :-1], r"bool \[2, 3\]"),
        (lambda state: frontier(state)[0], r"bool \[4\]"),
        (lambda state: state.frontier_B, "int64"),
        (lambda state: torch.from_numpy(frontier(state)), "not a Tensor"),
        (lambda state: True, "not a bool"),
        (lambda state: np.zeros_like(state.eligible_BG), "no position for some sample"),
        (lambda state: frontier(state) & (np.arange(len(state.step_B)) > 0)[:, None], "no position for some sample"),
        (lambda state: ~state.eligible_BG, "not eligible"),
        (lambda state: np.ones_like(state.eligible_BG), "not eligible"),
        (lambda state: state.eligible_BG, "chose 2 positions where the schedule commits 1.*`adaptive = True`"),
        (lambda state: state.eligible_BG.__setitem__(0, True), "read-only"),
        (lambda state: state.step_B.fill(0), "read-only"),
        (lambda state: setattr(state, "step_B", state.step_B + 1), "'step_B'; neither the state"),
        (lambda state: state.step, "no field 'step'; it has eligible_BG"),
        (lambda state: frontier(state).view(np.matrix), "not a matrix, but a plain numpy.ndarray"),
        (lambda state: np.ma.masked_array(frontier(state)), "not a MaskedArray, but a plain"),
    ],
)
def test_an_order_that_answers_something_else_is_named(answer: Callable[[DecodingState], Any], says: str) -> None:
    with pytest.raises(PluginError, match=f"order 'mine'.*{says}"):
        draw(made(answer))


def test_an_order_that_keeps_its_answer_cannot_change_it_later() -> None:
    buffers: dict[tuple[int, ...], Any] = {}

    def choose(state: DecodingState) -> Any:
        buffer = buffers.setdefault(state.eligible_BG.shape, np.zeros_like(state.eligible_BG))
        buffer[:] = frontier(state)
        return buffer

    for one, other in zip(draw(made(choose)), draw(get_order("ar")), strict=True):
        assert one.token_ids_G.tolist() == other.token_ids_G.tolist()


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (lambda state: 0.6, "not a float"),
        (lambda state: None, "not None"),
        (lambda state: [0.6] * len(state.step_B), "not a list"),
        (lambda state: np.full(len(state.step_B), np.nan), "not nan"),
        (lambda state: np.full(len(state.step_B), np.inf), "not inf"),
        (lambda state: np.full(len(state.step_B), -1.0), r"not -1\.0"),
        (lambda state: np.full(len(state.step_B), 1e-40), "between 1.2e-38 and 8.5e.37.*not 1e-40"),
        (lambda state: np.full(len(state.step_B), 1e300), r"not 1e\+300"),
        (lambda state: np.full(len(state.step_B) + 1, 1.0), r"float64 \[3\]"),
        (lambda state: np.full(len(state.step_B), "hot"), "numbers of shape"),
        (lambda state: np.ma.masked_array(np.full(len(state.step_B), 0.6)), "not a MaskedArray"),
    ],
)
def test_a_temperature_that_is_none_is_named(answer: Callable[[DecodingState], Any], says: str) -> None:
    order = made(frontier, temperature=lambda self, state, default: answer(state))
    with pytest.raises(PluginError, match=rf"temperature\(\) of order 'mine'.*{says}"):
        draw(order)


@pytest.mark.parametrize(
    ("members", "says"),
    [
        ({"reads": "entropy"}, "`reads` must be a set"),
        ({"reads": ["entropy"]}, "`reads` must be a set"),
        ({"reads": None}, "`reads` must be a set"),
        ({"reads": {"proposal"}, "temperature": lambda _, state, default: 0.6}, "`temperature` would change nothing"),
        ({"reads": frozenset({"entropi"})}, "Did you mean 'entropy'"),
        ({"reads": frozenset({1})}, "unknown name in `reads`"),
        ({"name": None}, "no name"),
        ({"name": 5}, "the name 5"),
        ({"name": "a:b"}, "the name 'a:b'"),
        ({"name": ""}, "the name ''"),
        ({"adaptive": "yes"}, "`adaptive` must be True or False"),
        ({"exceeds_budget": 1}, "`exceeds_budget` must be True or False"),
        ({"temperature": "hot"}, r"`temperature` must be a method; write `def temperature\(self, state, default\)"),
        ({"temperature": lambda self: 1.0}, "`temperature` must be a method"),
        ({"most_steps": 4}, r"write `def most_steps\(self, size\)"),
        ({"__call__": None}, r"write `def __call__\(self, state\)"),
        ({"committing": lambda self: None}, "`committing` must be a property that gives Order or None, not a method"),
        ({"own_pace": None}, "`own_pace` must be a property that gives bool, not None"),
        *(
            (
                {"reads": frozenset({"drift"}), "history": history},
                f"`history` must be a whole number .* not {history!r}",
            )
            for history in (0, -1, "2", 10**9, True, None)
        ),
    ],
)
def test_an_order_that_is_declared_wrongly_is_refused_before_anything_is_drawn(
    members: dict[str, Any], says: str
) -> None:
    order = made(frontier, **members)
    for use in (get_order, draw):
        with pytest.raises(PluginError, match=says):
            use(order)


def masking_again(most: Any) -> Order:
    """An order that masks again whatever it committed, and says that its blocks take so many steps."""

    def choose(state: DecodingState) -> Any:
        return Revision(commit_BG=state.eligible_BG.copy(), remask_BG=state.revisable_BG.copy())

    return made(
        choose, adaptive=True, revises=True, reads=frozenset({"past"}), most_steps=lambda self, size: most(size)
    )


@pytest.mark.parametrize("wrong", [-5, 0, None, 2.5, np.nan, np.inf, "4", True])
def test_most_steps_that_are_none_are_named(wrong: Any) -> None:
    with pytest.raises(PluginError, match=rf"most_steps\(\) of order 'mine' must return .*not {wrong!r}"):
        draw(masking_again(lambda size: wrong))


def test_no_position_is_left_masked_whatever_most_steps_says() -> None:
    answers = itertools.cycle([7, 1, 3])
    for most in (lambda size: 1, lambda size: next(answers)):
        for sample in draw(masking_again(most)):
            assert RandomOracle(words=6).mask_id not in sample.token_ids_G[: sample.length]


def test_a_class_is_no_order_and_a_plain_class_has_no_parameters() -> None:
    with pytest.raises(PluginError, match=r"Mine\(\)"):
        get_order(type(made(frontier)))  # type: ignore[arg-type]
    undecorated = type("Plain", (Order,), {"name": "p", "k": 3, "__annotations__": {"k": "int"}, "__call__": frontier})
    hidden = dataclass(frozen=True)(type("Hidden", (Order,), vars(undecorated) | {"__annotations__": {"draw": "int"}}))
    for wrong, says in (
        (undecorated, "@dataclass"),
        (hidden, "parameter `draw` has the name of a property of Order"),
        (Order, "has no method `__call__"),
        (int, "not an order class"),
        (3, "no"),
    ):
        with pytest.raises(PluginError, match=says):
            check_order_class(wrong)


@pytest.mark.parametrize("spec", ["ar", "confidence", "top_prob", "margin", "entropy", "random", "permutation", "egi",
                                  "parallel-2", "threshold", "factor", "eb", "eb:proxy=margin", "eb:proxy=confidence",
                                  "fork"])  # fmt: skip
def test_our_own_orders_read_what_they_ask_for(spec: str) -> None:
    assert len(draw(get_order(spec))) == 3


# ----- tasks -----


@dataclass(frozen=True)
class Mine:
    """A task that keeps the contract; what a test changes, it does not."""

    name: ClassVar[Any] = "mine"
    gen_length: ClassVar[Any] = 8

    listed: Any = field(default_factory=lambda: [Problem(id="a", question="?", target="1")])
    asked: Any = field(default_factory=lambda: Prompt(user="?"))
    verdict: Any = field(default_factory=lambda: Grade(correct=True))

    def problems(self) -> Any:
        return self.listed

    def prompt(self, problem: Problem) -> Any:
        return self.asked

    def grade(self, problem: Problem, text: str) -> Any:
        return self.verdict


@pytest.mark.parametrize(
    ("members", "says"),
    [
        ({"gen_length": None}, "'mine' has no gen_length"),
        ({"gen_length": "8"}, "gen_length '8'"),
        ({"gen_length": 0}, "gen_length 0"),
        ({"gen_length": True}, "gen_length True"),
        ({"name": None}, "has no name"),
        ({"name": "a,b"}, "the name 'a,b'"),
        ({"grade": None}, r"'mine' has no method grade\(\)"),
        ({"prompt": 3}, r"'mine' has no method prompt\(\)"),
        ({"problems": None}, r"'mine' has no method problems\(\)"),
    ],
)
def test_a_task_that_lacks_something_is_refused(members: dict[str, Any], says: str) -> None:
    assert check_task(Mine())
    with pytest.raises(PluginError, match=says):
        check_task(dataclass(frozen=True)(type("Theirs", (Mine,), members))())


def test_what_is_no_task_is_refused() -> None:
    for wrong in (Mine(), 3, object):
        with pytest.raises(PluginError, match="not a task class"):
            check_task_class(wrong)
    with pytest.raises(PluginError, match=r"Mine\(\)"):
        check_task(Mine)


@pytest.mark.parametrize(
    ("listed", "says"),
    [
        (None, "not a NoneType"),
        ((p for p in ()), "not a generator"),
        ("ab", "not a str"),
        ({"a": 1}, "not a dict"),
        ([{"id": "a"}], "it holds a dict"),
        ([], "has no problems"),
        ([Problem(id="a", question="?", target="1")] * 2, "two problems with the id 'a'"),
        ([Problem(id="a\x1b[31m", question="?", target="1")], "printable characters only"),
    ],
)
def test_problems_that_are_none_are_refused(listed: Any, says: str) -> None:
    with pytest.raises(InputError, match=f"task 'mine'.*{says}"):
        problems_of(Mine(listed=listed))


def test_a_prompt_or_grade_of_another_type_is_refused() -> None:
    problem = Mine().problems()[0]
    for wrong in ("?", None, {"user": "?"}):
        with pytest.raises(PluginError, match=r"prompt\(\) of task 'mine' must return a flexeval.Prompt"):
            prompt_of(Mine(asked=wrong), problem)
    for wrong in (True, 1, None, "right"):
        with pytest.raises(PluginError, match=r"grade\(\) of task 'mine' must return a flexeval.Grade"):
            grade_of(Mine(verdict=wrong), problem, "1")
    with pytest.raises(InputError, match=r"Grade.error must be None when correct, not 'late'"):
        Grade(correct=True, error="late")


@pytest.mark.parametrize(
    "make",
    [
        lambda: Problem(id=3, question="?", target="1"),  # type: ignore[arg-type]
        lambda: Problem(id="a", question=None, target="1"),  # type: ignore[arg-type]
        lambda: Problem(id="a", question="?", target=1),  # type: ignore[arg-type]
        lambda: Problem(id="a", question="\ud800", target="1"),
        lambda: Prompt(user=b"?"),  # type: ignore[arg-type]
        lambda: Prompt(user="?", date="tomorrow"),
        lambda: Grade(correct="false"),  # type: ignore[arg-type]
        lambda: Grade(correct=1),  # type: ignore[arg-type]
        lambda: Grade(correct=True, extracted=4),  # type: ignore[arg-type]
    ],
)
def test_records_of_the_wrong_type_are_refused(make: Callable[[], object]) -> None:
    with pytest.raises(InputError, match=r"(Problem|Prompt|Grade)\.\w+"):
        make()


def test_a_verdict_of_numpy_is_a_verdict() -> None:
    assert Grade(correct=np.bool_(True)).correct is True  # type: ignore[arg-type]


# ----- models -----


@pytest.mark.parametrize(
    ("members", "says"),
    [
        ({"mask_id": None}, "mask_id must be a whole number in 0..7, not missing"),
        ({"mask_id": 8}, "mask_id .* not 8"),
        ({"mask_id": "x"}, "mask_id .* not 'x'"),
        ({"eos_id": -1}, "eos_id .* not -1"),
        ({"stop_ids": [6]}, "stop_ids must be a set"),
        ({"attention": Attention(kind="block-causal")}, "attention lacks a block length"),
        ({"stop_ids": frozenset({7})}, "mask_id 7 also ends texts"),
        ({"eos_id": 7}, "mask_id 7 also ends texts"),
        ({"stop_ids": frozenset({99})}, "stop_ids .* not 99"),
        ({"vocab_size": 0}, "vocab_size"),
        ({"vocab_size": 8.0}, "vocab_size"),
        ({"max_length": None}, "max_length"),
        ({"device": "cpu"}, r"device must be a torch\.device"),
        ({"dtype": "float32"}, r"dtype must be a torch\.dtype"),
        ({"name": None}, "name must be a text"),
        ({"hidden": None}, r"no method hidden\(\)"),
        ({"logits": 3}, r"no method logits\(\)"),
        ({"encode": None}, r"no method encode\(\)"),
    ],
)
def test_a_model_that_lacks_something_is_refused(members: dict[str, Any], says: str) -> None:
    model = RandomOracle(words=6)
    for name, value in members.items():
        setattr(model, name, value)
    for use in (lambda: draw(get_order("ar"), model), lambda: flexeval.sample(model, ["a"], config=CONFIG)):
        with pytest.raises(PluginError, match=says):
            use()


@pytest.mark.parametrize("order", ["ar", "confidence", "entropy"])
@pytest.mark.parametrize(
    ("logits", "says"),
    [
        (lambda hidden: torch.full_like(hidden, torch.nan), "hold NaN"),
        (lambda hidden: hidden.index_fill(1, torch.tensor([3]), torch.nan), "hold NaN"),
        (lambda hidden: hidden.index_fill(1, torch.tensor([3]), torch.inf), "hold infinity"),
        (lambda hidden: torch.full_like(hidden, -torch.inf), "forbid every token"),
        (lambda hidden: hidden.double(), "float64"),
        (lambda hidden: hidden.half(), "float16"),
        (lambda hidden: hidden[:, :-1], r"\[\d+, 7\]"),
        (lambda hidden: hidden[:-1], "must return float32 of shape"),
        (lambda hidden: hidden.numpy(), "not a ndarray"),
        (lambda hidden: None, "not a NoneType"),
    ],
)
def test_logits_that_are_none_are_refused(order: str, logits: Callable[[Any], Any], says: str) -> None:
    model = RandomOracle(words=6)
    model.name = "theirs"
    model.logits = lambda hidden_ND: logits(hidden_ND.clone())  # type: ignore[method-assign]
    with pytest.raises(PluginError, match=rf"model 'theirs'.*{says}"):
        draw(get_order(order), model)


def test_hidden_states_of_another_shape_are_refused() -> None:
    model = RandomOracle(words=6)
    for answer, found in ((torch.zeros(3), r"\[3\]"), (np.zeros((1, 2, 3)), "a ndarray")):
        model.hidden = lambda *arguments, answer=answer: answer  # type: ignore[method-assign]
        with pytest.raises(PluginError, match=rf"hidden\(\) must return a tensor of shape .*, not {found}"):
            draw(get_order("ar"), model)


@pytest.mark.parametrize(
    ("ids", "says"),
    [
        ([99], "gave token 99"),
        ("abc", "list of token ids"),
        (None, "token ids"),
        ([], "empty: .* no token for 'a'"),
        ([1, 7], "the prompt of 'a' holds the mask token"),
    ],
)
def test_a_prompt_of_other_tokens_is_refused(ids: Any, says: str) -> None:
    model = RandomOracle(words=6)
    model.encode = lambda prompt: ids  # type: ignore[method-assign]
    with pytest.raises(InputError, match=says):
        flexeval.sample(model, ["a"], config=CONFIG)


@pytest.mark.parametrize(
    ("method", "answer", "says"),
    [
        ("decode", None, "a text, not None"),
        ("decode", b"a", "a text, not b'a'"),
        ("pieces", None, "one for each of . tokens, not None"),
        ("pieces", ["a"], r"one for each of . tokens, not \['a'\]"),
        ("pieces", [1, 2, 3, 4], "a list of texts"),
        ("pieces", "abcd", "a list of texts"),
    ],
)
def test_texts_that_are_none_are_refused(method: str, answer: Any, says: str) -> None:
    model = RandomOracle(words=6)
    model.decode = lambda token_ids: "a"  # type: ignore[method-assign]
    setattr(model, method, lambda token_ids: answer)
    with pytest.raises(PluginError, match=rf"model .*: {method}\(\) must return .*{says}"):
        flexeval.sample(model, ["a"], config=CONFIG)


# ----- the Python API -----


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"prompts": [3]}, "a prompt is a text"),
        ({"prompts": [None]}, "a prompt is a text"),
        ({"prompts": [b"a"]}, "a prompt is a text"),
        ({"prompts": 3}, "prompts must be a list"),
        ({"prompts": None}, "prompts must be a list"),
        ({"prompts": {"a": "b"}}, "prompts must be a list of texts, not a dict"),
        ({"prompts": {"a", "b"}}, "not a set"),
        ({"prompts": pd.DataFrame({"a": ["b"]})}, "not a DataFrame"),
        ({"prompts": ["\ud800"]}, "half a character"),
        ({"order": 3}, "an order is a name"),
        ({"order": None}, "an order is a name"),
        ({"config": {"gen_length": 4}}, "config must be a SamplingConfig"),
        ({"num_samples": 0}, "num_samples must be at least 1"),
        ({"num_samples": 1.5}, "num_samples must be a whole number"),
        ({"num_samples": "2"}, "num_samples must be a whole number"),
        ({"num_samples": True}, "num_samples must be a whole number"),
        ({"batch_size": 0}, "batch size must be at least 1"),
        ({"batch_size": "4"}, "batch size must be a whole number"),
        ({"batch_size": 10**9}, "batch size must be at most"),
        ({"model": "tiny"}, r"not its name; write flexeval.load_model\('tiny'\)"),
        ({"model": None}, "the model, a NoneType, has no method encode"),
    ],
)
def test_sample_refuses_arguments_of_the_wrong_type(changes: dict[str, Any], says: str) -> None:
    given = {"model": RandomOracle(words=6), "prompts": ["a"], "config": CONFIG} | changes
    with pytest.raises(InputError, match=says):
        flexeval.sample(given.pop("model"), given.pop("prompts"), **given)


class _Anonymous(RandomOracle):
    """A model that does not say which it is."""

    fingerprint = property(lambda self: "mine", lambda self, value: None)


class _Sourced(type(flexeval.get_task("forks"))):  # type: ignore[misc]
    """A task that names its data by a path."""

    def source(self) -> dict[str, Any]:
        return {"origin": Path("data")}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"config": {}}, "config must be a RunConfig .*not a dict"),
        ({"predictor": None}, "the model, a NoneType, has no method"),
        ({"predictor": _Anonymous(words=6)}, "its fingerprint must be a flexeval.models.fingerprint.Fingerprint"),
        ({"task": _Sourced()}, r"source\(\) of the task must return JSON values"),
        ({"predictor": "forks"}, r"write flexeval.load_model\('forks'\)"),
        ({"task": "forks"}, r"write flexeval.get_task\('forks'\)"),
        ({"task": None}, "not a task class"),
        ({"shard": (0, 2)}, r"shard must be a Shard \(of flexeval.runs.shards\), not a tuple"),
        ({"out": None}, "out is a text or a Path, not a NoneType"),
        ({"out": ""}, "out is empty"),
        ({"out": "x" * 5000}, "cannot use .* as out: File name too long"),
        ({"out": "a\0b"}, "cannot use .* as out"),
        ({"progress": 3}, "progress must be a Callable"),
        ({"make_sampler": None}, "make_sampler must be a Callable"),
    ],
)
def test_run_refuses_arguments_of_the_wrong_type_and_makes_nothing(
    changes: dict[str, Any], says: str, tmp_path: Path
) -> None:
    config = flexeval.RunConfig(task="forks", order="ar", sampling=CONFIG, num_samples=1, limit=1)
    given = {"predictor": RandomOracle(words=6), "task": flexeval.get_task("forks"), "out": tmp_path / "run"} | changes
    with pytest.raises(InputError, match=says):
        flexeval.run(given.pop("config", config), **given)
    assert not list(tmp_path.iterdir())


def test_names_of_the_wrong_type_are_refused() -> None:
    calls: list[Callable[[Any], Any]] = [flexeval.get_task, flexeval.load_model, lambda it: Shard(index=it, count=4)]
    for call, wrong in itertools.product(calls, (None, "0", {})):
        if call is calls[2] or not isinstance(wrong, str):
            with pytest.raises(InputTypeError, match="not "):
                call(wrong)


# ----- entry points -----


GOOD = (
    "from dataclasses import dataclass\nfrom flexeval.orders import Order, take_leftmost\n"
    "@dataclass(frozen=True)\nclass Good(Order):\n    name = 'good'\n"
    "    def __call__(self, state):\n        return take_leftmost(state.eligible_BG, state.budget_B)\n"
    "class Renamed(Good):\n    name = 'another'\nnothing = 3\n"
)


@pytest.mark.parametrize(
    ("line", "code", "says"),
    [
        ("bad = broken_plugin:Bad", "import not_there", "does not load .*not_there"),
        ("bad = broken_plugin:Bad", "1 / 0", "ZeroDivisionError"),
        ("bad = broken_plugin:Bad", "raise SystemExit(3)", "SystemExit"),
        ("bad = broken_plugin:Bad", "x = (", "SyntaxError"),
        ("bad = broken_plugin:Bad", GOOD, "does not load .*Bad"),
        ("bad = gone_plugin:Bad", GOOD, "gone_plugin"),
        ("bad = broken_plugin:nothing", GOOD, "not an order class"),
        ("bad = broken_plugin:Good", GOOD, "calls itself 'good'"),
        ("bad = broken_plugin", GOOD, "not an order class"),
        (
            "bad = broken_plugin:Loose",
            GOOD + "@dataclass\nclass Loose(Order):\n    name = 'bad'\n",
            "non-frozen",
        ),
    ],
)
def test_an_entry_point_that_cannot_be_used_gets_one_line_and_stops_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], line: str, code: str, says: str
) -> None:
    from flexeval import orders

    install(tmp_path, "broken-plugin", code, {"flexeval.orders": line})
    install(tmp_path, "good-plugin", GOOD, {"flexeval.orders": "good = good_plugin:Good"})
    monkeypatch.syspath_prepend(tmp_path)
    for module in ("broken_plugin", "good_plugin"):
        monkeypatch.delitem(__import__("sys").modules, module, raising=False)
    fresh: Registry[type[Order]] = Registry("order", entry_point_group="flexeval.orders", check=check_order_class)
    for name in ORDERS:
        if name not in ("bad", "good"):
            fresh.register(name, ORDERS.get(name))
    monkeypatch.setattr(orders, "ORDERS", fresh)

    with pytest.raises(
        PluginError, match=rf"order 'bad' of broken-plugin cannot be used: entry point.*{says}"
    ) as error:
        get_order("bad")
    assert "\n" not in str(error.value)
    assert get_order("good").spec == "good" and get_order("ar").spec == "ar"
    assert main(["ls", "orders"]) == 0
    listed = capsys.readouterr().out
    assert "bad" in listed and "cannot be used" in listed and "good" in listed


def test_a_plugin_cannot_take_a_name_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "greedy-plugin", GOOD, {"flexeval.orders": "ar = greedy_plugin:Good"})
    monkeypatch.syspath_prepend(tmp_path)
    fresh: Registry[type[Order]] = Registry("order", entry_point_group="flexeval.orders", check=check_order_class)
    fresh.register("ar", "flexeval.orders.model_free:LeftToRight")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UserWarning, match="'ar' of greedy-plugin is left out: the name is taken"):
            fresh.canonical("ar")
    assert fresh.get("ar").__name__ == "LeftToRight"
