"""flexeval's tasks and lm-eval's own, through `simple_evaluate`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import lm_eval
import pytest
import yaml
from precision import near

import flexeval
from flexeval.errors import InputError
from flexeval.lm_harness import TASKS_FOLDER, FlexevalLM, task_manager
from flexeval.lm_harness.task import FlexevalTask
from flexeval.lm_harness.task_files import task_files
from flexeval.records import Prompt, RunConfig, SamplingConfig
from flexeval.runs.runner import run
from flexeval.stats.pass_at_k import pass_at_k_table

PROBLEMS = [
    ("Tom has 3 pens. He buys 4. How many pens does he have in the end?", ["7", "5", "12"], 0),
    ("Ann starts with 9 eggs. She eats 2. How many eggs are there in the end?", ["11", "7", "2"], 1),
    ("The bus starts with 10 children. It takes on 2. How many children does it have?", ["8", "20", "12"], 2),
]


@pytest.fixture(scope="module")
def tiny():
    return flexeval.load_model("tiny")


def evaluate(lm, tasks, *, include=(), metadata=None, **options):
    manager = task_manager(include, include_defaults=False, metadata=metadata)
    return lm_eval.simple_evaluate(lm, tasks=tasks, task_manager=manager, bootstrap_iters=0, **options)


def load(name, **metadata):
    return task_manager(include_defaults=False, metadata=metadata).load([name])["tasks"][name]


# ----- flexeval's own -----


@pytest.mark.parametrize("apply_chat_template", [False, True])
def test_pass_at_k_is_that_of_the_runner(tiny, tmp_path, apply_chat_template):
    config = RunConfig(
        order="confidence", sampling=SamplingConfig(gen_length=48, seed=3), num_samples=3, limit=3, task="word-problems"
    )
    task = flexeval.get_task(config.task)
    stored = run(config, out=tmp_path / "run", predictor=tiny, task=task)
    texts = stored.samples.sort_values(["problem_id", "sample_index"]).groupby("problem_id")["text"].apply(list)
    table = pass_at_k_table(stored.counts(), [1, 2, 3])

    lm = FlexevalLM(tiny, order="confidence", seed=3, batch_size=5)
    results = evaluate(
        lm,
        ["flexeval_word_problems"],
        limit=3,
        metadata={"repeats": 3},
        apply_chat_template=apply_chat_template,
    )
    for sample in results["samples"]["flexeval_word_problems"]:
        problem_id = sample["doc"]["problem_id"]
        assert [response for (response,) in sample["resps"]] == texts[problem_id]
        assert [sample[f"pass@{k}"] for k in (1, 2, 3)] == table.loc[problem_id].tolist()
    found = results["results"]["flexeval_word_problems"]
    for k in (1, 2, 3):
        assert found[f"pass@{k},none"] == pytest.approx(table[k].mean(), abs=1e-12)


def test_predictions_only(tiny):
    results = evaluate(
        FlexevalLM(tiny, gen_length=4),
        ["flexeval_word_problems"],
        limit=2,
        metadata={"repeats": 2},
        predict_only=True,
    )
    samples = results["samples"]["flexeval_word_problems"]
    assert [len(sample["resps"]) for sample in samples] == [2, 2]
    assert results["results"]["flexeval_word_problems"]["bypass,none"] == 999


def test_requests_are_told_apart_and_hold_the_task_s_own_prompt():
    task = load("flexeval_word_problems", repeats=5)
    task.build_all_requests(limit=2, system_instruction="Be brief.")
    assert [(r.problem_id, r.sample_index) for r in task.instances[:6]] == [
        *((task.instances[0].problem_id, i) for i in range(5)),
        (task.instances[5].problem_id, 0),
    ]
    assert {request.repeats for request in task.instances} == {1}
    own = flexeval.get_task("word-problems")
    wanted = asdict(own.prompt(own.problems()[0])) | {"system": "Be brief."}
    assert asdict(task.instances[0].prompt) == wanted
    # What other models are given.
    assert task.instances[0].args[0] == f"Be brief.\n\n{wanted['user']}"


@pytest.mark.parametrize("name", ["gsm8k", "math500"])
def test_benchmarks_read_local_data_and_grade_with_flexeval(shared_dir, name):
    task = load(f"flexeval_{name}", data_dir=str(shared_dir / "data"), repeats=4)
    documents = list(task.doc_iterator(limit=1))
    own = flexeval.get_task(name, data_dir=shared_dir / "data")
    assert len(task.eval_docs) == len(own.problems())
    right = f"so it is \\boxed{{{documents[0][1]['target']}}}"
    metrics = task.process_results(documents[0][1], [right, "no", "no", "no"])
    assert metrics == {"pass@1": 0.25, "pass@2": 0.5, "pass@4": 1.0}
    task.build_all_requests(limit=1)
    assert asdict(task.instances[0].prompt) == asdict(own.prompt(own.problems()[0]))


@pytest.mark.linux
@pytest.mark.parametrize("name", ["humaneval", "mbpp"])
def test_programs_run_in_the_sandbox(shared_dir, name):
    task = load(f"flexeval_{name}", data_dir=str(shared_dir / "data"), repeats=2)
    problem = flexeval.get_task(name, data_dir=shared_dir / "data").problems()[0]
    whole = problem.metadata["prompt"] + problem.target if name == "humaneval" else problem.target
    document = {"problem_id": problem.id, "question": problem.question, "target": problem.target}
    assert task.process_results(document, [f"```python\n{whole}\n```", "```python\npass\n```"])["pass@1"] == 0.5


def test_a_task_file_may_change_the_task(tmp_path):
    base = (TASKS_FOLDER / "flexeval_word_problems.yaml").as_posix()
    (tmp_path / "hard.yaml").write_text(
        f"include: {base}\ntask: my_hard\ndataset_name: word-problems:facts=3,size=7\nrepeats: 2\n"
    )
    task = task_manager(tmp_path, include_defaults=False).load(["my_hard"])["tasks"]["my_hard"]
    assert len(task.eval_docs) == 7
    assert task.aggregation().keys() >= {"pass@1", "pass@2"}
    (tmp_path / "hard.yaml").write_text(f"include: {base}\ntask: my_hard\ndataset_name: word-problems:fcts=3\n")
    with pytest.raises(InputError, match="Did you mean 'facts'"):
        task_manager(tmp_path, include_defaults=False).load(["my_hard"])


@pytest.mark.parametrize(
    ("metadata", "line"),
    [
        ({"repeats": 0}, "'repeats' must be at least 1, the samples of a problem, not 0"),
        ({"repeats": -1}, "'repeats' must be at least 1"),
        ({"repeats": "many"}, "'repeats' must be a whole number"),
        ({"repeat": 64}, "unknown metadata: 'repeat'. Did you mean 'repeats'"),
        ({"data-dir": "data"}, "unknown metadata: 'data-dir'. Did you mean 'data_dir'"),
        ({"prompt": "bare"}, "has one prompt only"),
    ],
)
def test_bad_metadata_is_one_line(metadata, line):
    with pytest.raises(InputError, match=line) as caught:
        load("flexeval_word_problems", **metadata)
    assert "\n" not in str(caught.value)


def test_metadata_may_hold_what_others_read():
    """lm-eval adds the model's arguments, whichever model it is."""
    others = {"pretrained": "tiny", "order": "ar", "tokenizer": "x", "max_seq_lengths": [4], "download_dir": "y"}
    assert load("flexeval_word_problems", **others).config.repeats == 16


def test_a_task_needs_no_metadata():
    settings = yaml.safe_load((TASKS_FOLDER / "flexeval_word_problems.yaml").read_text().replace("!function", ""))
    task = FlexevalTask({name: value for name, value in settings.items() if name != "metadata"} | {"repeats": "3"})
    assert task.config.repeats == 3
    with pytest.raises(InputError, match="'repeats' must be at least 1"):
        FlexevalTask(settings | {"repeats": 0})


def test_the_wording_may_be_chosen(shared_dir, tmp_path):
    (tmp_path / "wording.yaml").write_text("system: Be brief.\nuser: 'Now: {question}'\nprefill: 'So '\n")
    for prompt in ("bare", str(tmp_path / "wording.yaml")):
        task = load("flexeval_gsm8k", data_dir=str(shared_dir / "data"), prompt=prompt)
        task.build_all_requests(limit=1)
        own = flexeval.get_task(f"gsm8k:template={prompt}", data_dir=shared_dir / "data")
        assert asdict(task.instances[0].prompt) == asdict(own.prompt(own.problems()[0]))


def test_requests_are_not_taken_from_a_cache_that_knows_no_repeats(monkeypatch):
    def load_from_cache(*, file_name, cache):
        assert not cache, "the stored requests may be those of another number of repeats"

    monkeypatch.setattr("lm_eval.api.task.load_from_cache", load_from_cache)
    task = load("flexeval_word_problems", repeats=3)
    task.build_all_requests(limit=2, cache_requests=True)
    assert len(task.instances) == 6


def test_the_group_is_the_mean_of_its_tasks(tiny, shared_dir):
    metadata = {"repeats": 2, "data_dir": str(shared_dir / "data")}
    results = evaluate(FlexevalLM(tiny, gen_length=24), ["flexeval"], limit=1, metadata=metadata)
    tasks = yaml.safe_load((TASKS_FOLDER / "flexeval.yaml").read_text())["task"]
    assert results["results"].keys() >= set(tasks)
    each = [results["results"][name]["pass@1,none"] for name in tasks]
    assert results["groups"]["flexeval"]["pass@1,none"] == pytest.approx(sum(each) / len(each))
    assert all(len(sample["resps"]) == 2 for name in tasks for sample in results["samples"][name])


def test_the_task_files_are_those_that_the_command_writes():
    """After adding a benchmark: `python -m flexeval.lm_harness.task_files`."""
    assert {path.name: path.read_text() for path in TASKS_FOLDER.glob("*.yaml")} == task_files()


def test_the_group_holds_every_task_file():
    names = {yaml.safe_load(path.read_text().replace("!function", ""))["task"] for path in _task_files()}
    group = yaml.safe_load((TASKS_FOLDER / "flexeval.yaml").read_text())
    assert set(group["task"]) == names
    assert names == {f"flexeval_{task}" for task in ("forks", "word_problems", "gsm8k", "math500", "humaneval", "mbpp")}
    assert task_manager(include_defaults=False).match_tasks(["flexeval_*"]) == sorted(names)


def _task_files() -> list[Path]:
    return [path for path in TASKS_FOLDER.glob("*.yaml") if path.stem != "flexeval"]


# ----- lm-eval's own processing, on local data -----


@pytest.fixture
def local_tasks(tmp_path, monkeypatch):
    """A multiple-choice task and generation tasks: greedy, of several samples, and with a begun answer."""
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    rows = [{"question": q, "choices": c, "gold": g, "answer": c[g]} for q, c, g in PROBLEMS]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    data = {"dataset_path": "json", "dataset_kwargs": {"data_files": {"test": str(tmp_path / "rows.jsonl")}}}
    common = {**data, "test_split": "test", "fewshot_split": "test", "doc_to_text": "question"}
    choice = {"output_type": "multiple_choice", "doc_to_choice": "choices", "doc_to_target": "gold"}
    until = {"do_sample": False, "max_gen_toks": 6, "until": ["."]}
    open_ = {"output_type": "generate_until", "doc_to_target": "answer", "generation_kwargs": until}
    drawn = {**open_, "generation_kwargs": {"temperature": 3.0, "max_gen_toks": 6}, "repeats": 3}
    begun = {**open_, "gen_prefix": "<answer>"}
    tasks = {"local_choice": choice, "local_open": open_, "local_drawn": drawn, "local_begun": begun}
    for name, own in tasks.items():
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump({"task": name, **common, **own}))
    return tmp_path


def test_multiple_choice_takes_the_likeliest(tiny, local_tasks):
    lm = FlexevalLM(tiny)
    results = evaluate(lm, ["local_choice"], include=local_tasks)
    accurate = []
    for sample in results["samples"]["local_choice"]:
        requests = [lm_eval.api.instance.Instance("loglikelihood", {}, args, 0) for args in sample["arguments"]]
        scores = [log_prob for log_prob, _ in FlexevalLM(tiny, batch_size=1).loglikelihood(requests)]
        assert [response for ((response, _),) in sample["resps"]] == near(scores)
        accurate.append(scores.index(max(scores)) == sample["target"])
    assert results["results"]["local_choice"]["acc,none"] == pytest.approx(sum(accurate) / len(accurate))


def test_few_shot_chat_and_system_instruction_reach_the_model(tiny, local_tasks):
    lm = FlexevalLM(tiny)
    results = evaluate(
        lm,
        ["local_open"],
        include=local_tasks,
        limit=1,
        num_fewshot=1,
        apply_chat_template=True,
        fewshot_as_multiturn=True,
        system_instruction="Be brief.",
    )
    (sample,) = results["samples"]["local_open"]
    context, _ = sample["arguments"][0]
    shown = next((q, c[g]) for q, c, g in PROBLEMS if q in context and q != sample["doc"]["question"])
    turns = [("system", "Be brief."), ("user", shown[0]), ("assistant", shown[1]), ("user", sample["doc"]["question"])]
    assert context == lm.apply_chat_template([{"role": role, "content": content} for role, content in turns])
    request = lm_eval.api.instance.Instance(
        "generate_until", {}, (context, {"temperature": 0, "max_gen_toks": 6}), 0, ("local_open", 0, 1)
    )
    (text,) = lm.generate_until([request])
    assert sample["resps"] == [[text.split(".")[0]]]


def test_repeats_of_lm_eval_s_own_tasks_are_different_samples(tiny, local_tasks):
    lm = FlexevalLM(tiny)
    results = evaluate(lm, ["local_drawn"], include=local_tasks)
    for sample in results["samples"]["local_drawn"]:
        ((context, asked),) = sample["arguments"]
        request = lm_eval.api.instance.Instance(
            "generate_until", {}, (context, asked), 0, ("local_drawn", sample["doc_id"], 3)
        )
        ((one, two, three),) = sample["resps"]
        assert [one, two, three] == lm.generate_until([request] * 3)
        assert len({one, two, three}) == 3
        assert sample["filtered_resps"] == [one], "lm-eval's own filter"


def test_a_begun_answer_is_continued(tiny, local_tasks):
    lm = FlexevalLM(tiny)
    results = evaluate(lm, ["local_begun"], include=local_tasks, limit=1, apply_chat_template=True)
    (sample,) = results["samples"]["local_begun"]
    ((context, _),) = sample["arguments"]
    assert lm.tok_encode(context) == tiny.encode(Prompt(user=sample["doc"]["question"], prefill="<answer>"))


def test_a_template_by_name_is_refused(tiny):
    with pytest.raises(InputError, match="write --apply_chat_template without a name"):
        FlexevalLM(tiny).chat_template("tool_use")
