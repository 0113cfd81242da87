"""Command lines that must be refused: one row each, in process. To extend it, add a row.

A row names its files (made in an empty working directory before the command), its arguments, and words that the line
must hold. Every row is held to the same: status 2, one line on stderr of bounded length without control characters, no
traceback, and nothing made on the disk.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from checkpoints import LLADA_CONFIG, MASK, write_llada
from conftest import Bigram
from safetensors.torch import load_file, save_file

from flexeval.cli import options
from flexeval.cli.main import main
from flexeval.errors import LONGEST_LINE

Setup = Callable[[], None]


@dataclass(frozen=True)
class Row:
    argv: list[str]
    """After the verb, before it is completed by `SMALL` for verbs that sample."""
    words: tuple[str, ...]
    setup: tuple[Setup, ...] = ()
    real_model: bool = False
    """Load what --model names; else every model is the bigram."""

    @property
    def name(self) -> str:
        text = " ".join(part if len(part) < 60 else f"{part[:30]}..{len(part)}" for part in self.argv)
        return text.encode("ascii", "backslashreplace").decode().replace("\0", "NUL") + "|" + self.words[0][:25]


def row(command: str | list[str], *words: str, setup: Setup | tuple[Setup, ...] = (), real: bool = False) -> Row:
    argv = command.split() if isinstance(command, str) else command
    return Row(argv, words, setup if isinstance(setup, tuple) else (setup,), real)


# ----- what a row may need -----

GOOD = {"question": "Two and two?", "answer": "Add them. #### 4"}


def file(name: str, content: str | bytes) -> Setup:
    def make() -> None:
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    return make


def folder(name: str) -> Setup:
    return lambda: Path(name).mkdir(parents=True)


def link(name: str, target: str) -> Setup:
    return lambda: os.symlink(target, name)


def data(content: str | bytes) -> Setup:
    return file("data/gsm8k_test.jsonl", content)


def finished_run(name: str = "run") -> Setup:
    """A run of the bigram, which the whole module shares."""
    return lambda: shutil.copytree(_RUN, name)  # type: ignore[return-value]


def checkpoint(**changes: object) -> Setup:
    return lambda: write_llada(Path("ck"), **changes)  # type: ignore[arg-type,return-value]


def config_says(**changes: object) -> Setup:
    """A checkpoint whose config.json alone says something else."""

    def make() -> None:
        write_llada(Path("ck"))
        Path("ck/config.json").write_text(json.dumps(LLADA_CONFIG | changes))

    return make


def beside(name: str, content: str | bytes) -> tuple[Setup, Setup]:
    return checkpoint(), file(f"ck/{name}", content)


def replaced_by_folder(name: str) -> Setup:
    def make() -> None:
        Path(name).unlink()
        Path(name).mkdir()

    return make


def weights(value: float, only: str = "") -> Setup:
    def make() -> None:
        write_llada(Path("ck"))
        stored = load_file("ck/model.safetensors")
        for name, tensor in stored.items():
            if only in name:
                tensor.view(-1)[0] = value
        save_file(stored, "ck/model.safetensors", metadata={"format": "pt"})

    return make


DIGITS, BRACKETS, LONG = "9" * 5000, "[" * 100_000, "x" * 300
SURROGATE = "caf\udce9"
BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{','.join([f'*{chr(97 + i)}'] * 9)}]\n" for i in range(8)
)
PASSK = "passk --num-samples 2 --limit 2 --gen-length 8 "
SAMPLE = "sample --gen-length 8 "
SWEEP = "sweep --num-samples 2 --limit 2 "
MODEL = SAMPLE + "--model ./ck "
GSM = PASSK + "--task gsm8k --data-dir data "
GRADE = "grade answers.jsonl --task word-problems"
PLAN = "reproduce --plan plan.yaml"


def answers(content: str | bytes) -> Setup:
    return file("answers.jsonl", content)


def plan(content: str | bytes) -> Setup:
    return file("plan.yaml", content)


def grpo(content: str | bytes) -> Setup:
    return file("c.yaml", content)


ROWS = [
    # the command itself
    row("pask", "unknown command", "passk"),
    row(["x" * 100_000], "unknown command"),
    row([""], "unknown command"),
    row(["passk", "\x1b[31mred"], "\\x1b[31mred"),
    row(["passk", SURROGATE], "UTF-8"),
    row(["passk", "--model", "a\0b"], "zero byte"),
    row("passk --ordr ar", "unknown option", "--order"),
    row("passk stray", "unexpected argument"),
    row("passk --order", "expected one argument"),
    row(["passk", "--" + "x" * 5000, "1"], "unknown option"),
    # orders
    row(PASSK + "--order permutation:seed=-1", "seed must be at least 0, not -1"),
    row(PASSK + "--order permutation:seed=1e3", "whole number"),
    row(PASSK + f"--order permutation:seed={DIGITS}", "whole number"),
    row(PASSK + "--order permutation:seed=9223372036854775808", "64 bits"),
    row(PASSK + "--order eb:gamma=inf", "gamma"),
    row(PASSK + "--order eb:gamma=1e999", "gamma"),
    row(PASSK + "--order eb:gamma=nan", "gamma"),
    row(PASSK + "--order factor:factor=inf", "factor"),
    row(PASSK + "--order fork:tau=nan", "tau"),
    row(PASSK + "--order egi:first_temperature=inf", "first_temperature"),
    row(PASSK + "--order parallel-0", "at least 1"),
    row(PASSK + f"--order parallel-{DIGITS}", "whole number"),
    row(PASSK + "--order parallel-99999999999999999999", "64 bits"),
    row(PASSK + "--order parallel-99999999", "at most"),
    row(PASSK + "--order parallel-k", "parallel-4"),
    row(PASSK + "--order eb:proxy=", "param=value"),
    row([*PASSK.split(), "--order", ""], "--order is empty"),
    row([*PASSK.split(), "--order", " "], "--order is empty"),
    row([*PASSK.split(), "--data-dir", ""], "--data-dir is empty"),
    row([*SAMPLE.split(), "--problem", ""], "--problem is empty"),
    row(["report", ""], "RUN is empty"),
    row([*PASSK.split(), "--order", "ar:" + "k=1," * 5000], "given twice"),
    row([*PASSK.split(), "--order", "x" * 100_000], "unknown order"),
    row([*PASSK.split(), "--order", "ar\x1b]0;x\x07"], "\\x1b]0;x\\x07"),
    # numbers
    row(PASSK + f"--seed {DIGITS}", "--seed must be a whole number"),
    row(PASSK + "--seed 9223372036854775808", "64 bits"),
    row("passk --num-samples 99999999999", "num_samples must be at most"),
    row("passk --num-samples -1", "num_samples must be at least 1"),
    row(PASSK + "--limit 99999999999", "limit must be at most"),
    row("passk --gen-length 99999999999", "gen_length must be at most"),
    row("passk --gen-length 0", "gen_length must be at least 1"),
    row(["passk", "--gen-length", ""], "--gen-length is empty"),
    row(PASSK + "--block-length 99999999999999", "longer than gen_length"),
    row(PASSK + "--tokens-per-step 99999999999", "tokens_per_step must be at most"),
    row(PASSK + "--top-k 99999999999", "top_k must be at most"),
    row(PASSK + "--top-k -1", "top_k"),
    row(PASSK + "--top-p 1e999", "top_p"),
    row(PASSK + "--temperature 1e999", "temperature"),
    row(PASSK + "--cfg-scale inf", "cfg_scale"),
    row(PASSK + "--cfg-scale nan", "cfg-scale"),
    row(PASSK + "--batch-size 99999999999", "--batch-size must be at most"),
    row(PASSK + f"--k {DIGITS}", "whole number"),
    row(PASSK + "--k 99999999999999999999", "64 bits"),
    row([*PASSK.split(), "--k", ""], "--k is empty"),
    row(SAMPLE + "--sample-index 99999999999", "--sample-index must be at most"),
    row(SAMPLE + "--sample-index -1", "--sample-index must be at least 0"),
    row(SAMPLE + f"--problem {DIGITS}", "problem"),
    row(SAMPLE + "--problem 99999999999999999999", "problem"),
    row([*SAMPLE.split(), "--problem", "\u0663\u0663\u0663\u0663"], "problem"),
    # the machine
    row(PASSK + "--dtype x", "dtype: 'x'"),
    row(PASSK + "--device gpu", "device: 'gpu'"),
    row(PASSK + "--device cuda:99999999999", "device"),
    row(SWEEP + "--dtype x", "dtype: 'x'"),
    row(SAMPLE + "--dtype x", "dtype: 'x'"),
    row("reproduce --quick --dtype x", "dtype: 'x'"),
    row("reproduce --quick --device nope", "device"),
    row("reproduce --preset forks-grpo --quick --device cuda:1", "trainings", "CUDA_VISIBLE_DEVICES=1"),
    row("reproduce --quick --batch-size 0", "--batch-size must be at least 1"),
    row("reproduce --dry-run --dtype x", "dtype: 'x'"),
    row(PASSK + "--data-dir missing", "no data folder 'missing'"),
    row(PASSK + "--data-dir f", "no data folder 'f'", setup=file("f", "x")),
    # where results go
    row(PASSK + "--out f", "'f'", "is a file", setup=file("f", "x")),
    row(PASSK + "--out f/runs", "'f'", "is a file", setup=file("f", "x")),
    row(PASSK + f"--out {LONG}", "255 bytes"),
    row(PASSK + f"--out a/{LONG}/b", "255 bytes"),
    row(PASSK + "--out loop", "symbolic link", setup=link("loop", "loop")),
    row(SWEEP + "--out f", "is a file", setup=file("f", "x")),
    row("reproduce --quick --out f", "is a file", setup=file("f", "x")),
    row("reproduce --quick --runs f", "is a file", setup=file("f", "x")),
    row("figures run --out f", "is a file", setup=(finished_run(), file("f", "x"))),
    row("grpo --config tiny --out f", "is a file", setup=file("f", "x")),
    row(PASSK + "--out runs", "is a file", setup=file("runs", "x")),
    row("report run -o missing/a.html", "there is no folder", setup=finished_run()),
    row("report run -o .", "folder", setup=finished_run()),
    row(["report", "run", "--bundle", ""], "--bundle is empty", setup=finished_run()),
    row("report run --bundle .", "'README.md', which is no part", setup=(finished_run(), file("README.md", "mine"))),
    *(
        row(command, "run' is a run", setup=(finished_run(), link("link", "run/tokens")))
        for command in (
            "report run -o run/config.json", "coverage run run --json run/summary.json",
            "entropy run --csv run/new.csv",
            "power run --json link/part.json", PASSK + "--json run/samples.jsonl",
        )
    ),
    *(
        row(command, "run' is a run", "give a folder elsewhere", setup=(finished_run(), link("link", "run/tokens")))
        for command in (
            "report run --bundle run", "report run --bundle link", "figures run -o run",
            "figures run -o run/tokens/new",
            PASSK + "-o run", SWEEP + "-o run/tokens", "reproduce --quick --out run", "reproduce --quick --runs run",
            "export run --to inspect -o run", "export run --to hub-folder -o run/hub", "grpo --config tiny --out run",
        )
    ),
    # tasks and their parameters
    row(PASSK + "--task word-problems:facts=99999999999999999999", "64 bits"),
    row(PASSK + f"--task word-problems:size={DIGITS}", "whole number"),
    row(PASSK + "--task word-problems:facts=-1", "facts"),
    row(PASSK + "--task sudoku4:givens=99", "givens"),
    row(PASSK + "--task word-problems:split=tset", "Did you mean 'test'"),
    row([*PASSK.split(), "--task", ""], "--task is empty"),
    row(PASSK + "--task word-problems --prompt bare", "one prompt only"),
    row(GSM + "--prompt missing.yaml", "missing.yaml", setup=data(json.dumps(GOOD))),
    row(
        GSM + "--prompt p.yaml", "line 2: 'user' is given twice",
        setup=(data(json.dumps(GOOD)), file("p.yaml", 'user: "{question}"\nuser: "Q: {question}"')),
    ),
    row(GSM + f"--prompt {LONG}.yaml", "too long", setup=data(json.dumps(GOOD))),
    row(GSM + "--prompt p.yaml", "p.yaml", "folder", setup=(data(json.dumps(GOOD)), folder("p.yaml"))),
    *(
        row(GSM + "--prompt p.yaml", "p.yaml", setup=(data(json.dumps(GOOD)), file("p.yaml", content)))
        for content in (
            b"\xff\xfe\x00", "", "user", "user: 5", "user: [a]", "user: !!int x", "user: !!bool maybe",
            "user: !!timestamp soon", "? [a, b]\n: c", "user: '{question}'\nbomb: &a [*a]", BOMB, BRACKETS,
            "user: \"\\ud800 {question}\"", f"user: {DIGITS}", "user: no question", "user: '{quesion}'",
            "user: '{question}'\n1: x", "user: !!python/object:os.system x", "user: '{question}\n", "\x00", "user: 0x",
        )
    ),
    # data files
    *(
        row(GSM, "gsm8k_test.jsonl", setup=data(content))
        for content in (
            b"\xff\xfe", "", "\n\n", "[1]", "null", "{", f'{{"question": {DIGITS}, "answer": "#### 4"}}', BRACKETS,
            '{"question": "\\ud800", "answer": "#### 4"}', '{"question": 5, "answer": "#### 4"}',
            '{"question": " ", "answer": "#### 4"}', '{"question": "A", "question": "B", "answer": "#### 4"}',
            '{"question": "?", "answer": null}', '{"question": "?"}', '{"question": "?", "answer": "4"}',
            '{"a":' * 50_000, "\x00", json.dumps(GOOD) + "\n{",
        )
    ),
    row(GSM, "gsm8k_test.jsonl", setup=folder("data/gsm8k_test.jsonl")),
    row(GSM, "gsm8k_test.jsonl.gz", setup=file("data/gsm8k_test.jsonl.gz", b"\x1f\x8bno")),
    row(PASSK + "--task humaneval --data-dir data", "HumanEval", setup=file("data/HumanEval.jsonl", "{}")),
    row(PASSK + "--task mbpp --data-dir data", "mbpp", setup=file("data/mbpp.jsonl", "[]")),
    # files of completions
    *(
        row(GRADE, "answers.jsonl", setup=answers(content))
        for content in (
            b"\xff", "", "[]", "3", "{}", '{"completion": 5, "problem_id": "x"}', f'{{"completion": {DIGITS}}}',
            BRACKETS, '{"completion": "a"}', '{"completion": "a", "problem_id": 3}',
            '{"completion": "a", "question": []}',
            '{"completion": "a", "question": "none of these"}', '{"x": ' + BRACKETS, "\x1b[31m",
        )
    ),
    row("grade answers.jsonl", "say which task", setup=answers("{}")),
    row("grade missing.jsonl --task word-problems", "missing.jsonl"),
    row("grade answers.jsonl --task word-problems", "folder", setup=folder("answers.jsonl")),
    row("grade answers.jsonl --task nope", "unknown task", setup=answers("{}")),
    row("grade missing", "no run in missing"),
    row(["grade", LONG], "too long"),
    row("grade loop", "loop", setup=link("loop", "loop")),
    row("grade run --out x.jsonl", "--out takes", setup=finished_run()),
    # plans
    *(
        row(PLAN, "plan.yaml", setup=plan(content))
        for content in (
            b"\xff\xfe\x00\x01", b"\x89PNG\r\n\x1a\n", "", "5", "- a", "runs: []", "runs: 3", "runs: [3]", BRACKETS,
            "runs:\n  - order: {a: b}", "runs:\n  - order: [[ar]]", "runs:\n  - ordr: ar", "runs:\n  - order: nope",
            f"runs:\n  - seed: {DIGITS}", "runs:\n  - seed: !!int x", "? [a]\n: b", "runs: *a",
            "title: &a [*a]\nruns: []",
            f"{BOMB}title: *h\nruns:\n  - order: ar", "ks: [0]\nruns:\n  - order: ar", "ks: [x]\nruns:\n  - order: ar",
            "ks: 99999999999999999999\nruns:\n  - order: ar", f"ks: [{DIGITS}]\nruns:\n  - order: ar",
            "ks: [1, 9]\nruns:\n  - num_samples: 2", "runs:\n  - order: [ar, ar]",
            "parameters: {tiny: .inf}\nruns:\n  - order: ar", "parameters: {tiny: x}\nruns:\n  - order: ar",
            "title: !!bool maybe\nruns:\n  - order: ar", "title: {a: b}\nruns:\n  - order: ar",
            "runs:\n  - order: \"permutation:seed=-1\"", "runs:\n  - temperature: .nan", "runs:\n  - temperature: .inf",
            "trainings: {a: {steps: x}}\nruns:\n  - order: ar", "trainings: {a/b: {steps: 1}}\nruns:\n  - order: ar",
            "trainings: {a: {steps: [1]}}\nruns:\n  - order: ar", "trainings: {a: {config: [1]}}\nruns:\n  - order: ar",
            "runs:\n  - model: a@1", "runs:\n  - gen_length: \"\"", "runs:\n  - order: \"\\ud800\"", "a: b\nruns: [{}]",
        )
    ),
    row("reproduce --plan missing.yaml", "missing.yaml"),
    row("reproduce --plan d", "folder", setup=folder("d")),
    row(f"reproduce --plan {LONG}", "too long"),
    row("reproduce --plan p --quick", "--quick is for presets"),
    row("reproduce --preset nope", "unknown preset"),
    row("reproduce --dry-run --peak-tflops inf", "peak_tflops"),
    row("reproduce --dry-run --prompt-tokens 99999999999999999999", "64 bits"),
    row("reproduce --dry-run --utilization 2", "utilization"),
    row(PASSK + "--dry-run --peak-tflops 1e-320", "peak_tflops must lie between 1e-09 and 1e+18"),
    row(PASSK + "--dry-run --utilization 1e-320", "utilization"),
    row(PASSK + "--dry-run --parameters 1e308", "--parameters is the size"),
    *(
        row(command, "add --dry-run, or leave out")
        for command in (PASSK + "--peak-tflops 3", SWEEP + "--parameters 8e9", "reproduce --quick --prompt-tokens 3")
    ),
    row("power --pass-at 1=40 --pass-at 1=60 --correlation 1", "cannot have a correlation of 1; give", "to 0.91"),
    # sweeps
    row(SWEEP + "--over order", "cannot read --over"),
    row(SWEEP + "--over temperature=x", "temperature"),
    row(SWEEP + "--over seed=99999999999999999999", "64 bits"),
    row(SWEEP + "--over nope=1", "unknown setting"),
    row(SWEEP + "--over order.nope=1", "unknown parameter"),
    row(SWEEP + "--model nope", "unknown model"),
    row(SWEEP + "--over model=tiny,./nope", "./nope"),
    # trainings
    *(
        row("grpo --config c.yaml", "c.yaml", setup=grpo(content))
        for content in (
            b"\xff\xfe", "", "5", "[a]", "nope: 1", "steps: x", "steps: [1]", "steps: {a: b}", "? [a]\n: b", "1: 2",
            f"steps: {DIGITS}", BRACKETS, BOMB, "steps: !!int x", "steps: !!timestamp x", "steps: &a [*a]",
            "fast: maybe", "steps: 1\nseed: 2\nsteps: 3", "{'steps': 1, \"steps\": 1}",
        )
    ),
    row("grpo --config d", "folder", setup=folder("d")),
    row("grpo --config nope", "unknown config"),
    row("grpo --config tiny --steps 0", "steps must be at least 1"),
    row("grpo --config tiny --steps 99999999999", "steps must be at most"),
    row("grpo --config tiny --seed -1", "seed must be at least 0"),
    row("grpo --config tiny --wrong-reward=-inf", "wrong_reward"),
    row("grpo --config tiny --learning-rate inf", "learning_rate"),
    row("grpo --config tiny --group-size 1", "group_size must be at least 2"),
    row("grpo --config tiny --rollout-order permutation:seed=-1", "seed must be at least 0"),
    row("grpo --config tiny --task gsm8k:split=test", "spoil"),
    # stored runs
    *(row(f"{verb} missing", "missing") for verb in ("entropy", "bypass", "figures", "report")),
    *(row([verb, LONG], "too long") for verb in ("entropy", "bypass", "figures", "report")),
    row(["compare", LONG, "run"], "too long", setup=finished_run()),
    row("compare run run", "given twice", setup=finished_run()),
    row("compare run missing", "missing", setup=finished_run()),
    row("coverage run missing", "missing", setup=finished_run()),
    row("compare run", "two runs are compared, not 1", setup=finished_run()),
    row("compare run r --k 99999999999999999999", "64 bits", setup=(finished_run(), finished_run("r"))),
    row("compare run r --num-samples 99", "use at most", setup=(finished_run(), finished_run("r"))),
    row("compare run r --limit 99", "use at most", setup=(finished_run(), finished_run("r"))),
    row("compare run r --nfe x", "--nfe", setup=(finished_run(), finished_run("r"))),
    row("compare run r --extrapolate 1", "above n", setup=(finished_run(), finished_run("r"))),
    row("entropy run --top 99999999999", "--top must be at most", setup=finished_run()),
    row("entropy run --min-count x", "--min-count", setup=finished_run()),
    row("bypass run --top 0", "--top must be at least 1", setup=finished_run()),
    row("entropy run --counterfactual --dtype x", "dtype", setup=finished_run()),
    row("figures run --only nope", "unknown figure", setup=finished_run()),
    row("report run", "config.json", "folder", setup=(finished_run(), replaced_by_folder("run/config.json"))),
    row("report run", "config.json", setup=(finished_run(), file("run/config.json", BRACKETS))),
    row("report run", "config.json", setup=(finished_run(), file("run/config.json", f'{{"format": {DIGITS}}}'))),
    row("report run", "config.json", setup=(finished_run(), file("run/config.json", b"\xff"))),
    row("entropy run", "problems.jsonl", setup=(finished_run(), file("run/problems.jsonl", BRACKETS + "\n"))),
    row("entropy f", "f", setup=file("f", "x")),
    # models
    row(MODEL, "./ck", real=True),
    row([*SAMPLE.split(), "--model", LONG], "unknown model", real=True),
    row([*SAMPLE.split(), "--model", ""], "--model is empty", real=True),
    row(SAMPLE + "--model f", "file", setup=file("f", "x"), real=True),
    row(SAMPLE + "--model d", "is not a checkpoint", setup=folder("d"), real=True),
    row(PASSK + "--model nope", "unknown model", real=True),
    *(
        row(MODEL, *words, setup=config_says(**changes), real=True)
        for changes, words in (
            ({"mask_token_id": "x"}, ("mask_token_id 'x'",)),
            ({"mask_token_id": 1.5}, ("mask_token_id 1.5",)),
            ({"mask_token_id": True}, ("mask_token_id True",)),
            ({"mask_token_id": [[1]]}, ("mask_token_id",)),
            ({"mask_token_id": {"a": 1}}, ("mask_token_id",)),
            ({"mask_token_id": -1}, ("token -1",)),
            ({"mask_token_id": 10**30}, ("embedding has only",)),
            ({"eos_token_id": "x"}, ("eos_token_id 'x'",)),
            ({"eos_token_id": [1, "x"]}, ("eos_token_id",)),
            ({"d_model": "32"}, ("d_model is '32'",)),
            ({"d_model": 10**30}, ("d_model",)),
            ({"d_model": 33}, ("do not divide",)),
            ({"n_layers": 10**9}, ("n_layers",)),
            ({"n_layers": 2.5}, ("n_layers",)),
            ({"n_layers": None}, ("n_layers",)),
            ({"embedding_size": 100, "vocab_size": 100}, ("embedding has only 100 rows",)),
            ({"embedding_size": -5}, ("embedding_size",)),
            ({"max_sequence_length": "long"}, ("max_sequence_length",)),
            ({"rope_theta": 1e400}, ("rope_theta",)),
            ({"rope_theta": "x"}, ("rope_theta",)),
            ({"rms_norm_eps": [1]}, ("rms_norm_eps",)),
            ({"weight_tying": "yes"}, ("weight_tying",)),
            ({"block_type": {}}, ("block_type",)),
            ({"model_type": 5}, ("type 5",)),
            ({"model_type": None}, ("type None",)),
            ({"model_type": "a2d-llama"}, ("--attention", "block-causal:N or full")),
            ({"model_type": "a2d-llama", "attention_rule": "full"}, ("hidden_size",)),
            ({"model_type": "a2d-llama", "attention_rule": "wide"}, ("unknown attention rule", "'wide'")),
            ({"model_type": "a2d-llama", "block_size": "x"}, ("block_size is 'x'",)),
            ({"attention_rule": "block-causal:8"}, ("cannot have", "it may have full")),
            ({"model_type": "\x1b[31mred"}, ("red",)),
        )
    ),
    *(
        row(MODEL, "ck", setup=beside(name, content), real=True)
        for name, content in (
            ("config.json", ""), ("config.json", "[1]"), ("config.json", BRACKETS), ("config.json", b"\xff"),
            ("config.json", f'{{"d_model": {DIGITS}}}'), ("config.json", '"x"'), ("generation_config.json", "[]"),
            ("generation_config.json", "{"), ("tokenizer.json", "{}"), ("tokenizer.json", BRACKETS),
            ("tokenizer.json", b"\xff"), ("tokenizer_config.json", "5"), ("tokenizer_config.json", '{"bos_token": 5}'),
            ("tokenizer_config.json", '{"added_tokens_decoder": [1]}'),
            ("tokenizer_config.json", '{"added_tokens_decoder": {"x": {"content": "a"}}}'),
            ("tokenizer_config.json", '{"added_tokens_decoder": {"5": "a"}}'),
            ("model.safetensors.index.json", "{}"), ("model.safetensors.index.json", '{"weight_map": {"a": 3}}'),
            ("model.safetensors.index.json", '{"weight_map": {"a": "gone"}}'), ("model.safetensors", b"no"),
            ("lineage.json", "[]"), ("lineage.json", "{"), ("lineage.json", '{"base": 5}'), ("lineage.json", BRACKETS),
        )
    ),
    row(MODEL, "config.json", "folder", setup=(checkpoint(), replaced_by_folder("ck/config.json")), real=True),
    row(MODEL, "generation_config", "folder", setup=(checkpoint(), folder("ck/generation_config.json")), real=True),
    row(MODEL, "model.safetensors", setup=(checkpoint(), replaced_by_folder("ck/model.safetensors")), real=True),
    row(MODEL, "holds NaN", setup=weights(float("nan")), real=True),
    row(MODEL, "holds NaN", setup=weights(float("nan"), only="ff_out"), real=True),
    row(MODEL, "infinite", setup=weights(float("inf"), only="ln_f"), real=True),
    row(MODEL + "--dtype float16", "float16", setup=weights(1e30, only="wte"), real=True),
    row(MODEL, "float32", setup=weights(3e38, only="ln_f"), real=True),
    row(
        MODEL, "no mask token",
        setup=(
            checkpoint(mask_token_id=None),
            lambda: file("ck/tokenizer.json", Path("ck/tokenizer.json").read_text().replace(MASK, "<|unused|>"))(),
        ),
        real=True,
    ),
    # prompts
    row([*SAMPLE.split(), "--question", SURROGATE], "UTF-8"),
    row([*SAMPLE.split(), "--question", ""], "--question is empty"),
    row([*SAMPLE.split(), "--question", " \n"], "--question is empty"),
    row([*MODEL.split(), "--question", "word " * 5000], "tokens", "of model", setup=checkpoint(), real=True),
    row([*SAMPLE.split(), "--question", "a", "--problem", "1"], "not allowed"),
    row([*SAMPLE.split(), "--question", "a", "--prompt", "bare"], "leave out --prompt"),
    row("passk --gen-length 110", "more than the 120", "gen_length of at most"),
    row("sample --gen-length 110", "more than the 120", "gen_length of at most"),
    row(SAMPLE + "--problem nope", "unknown problem"),
    row(SAMPLE + "--prompts p.csv --out t.jsonl", ".csv is no form", setup=file("p.csv", "prompt\nHello\n")),
    # listing, lm-eval
    row("ls nope", "unknown kind of name"),
    row("ls orders tasks", "unexpected argument"),
    row("lm-eval run --config missing.yaml", "missing.yaml"),
    row("lm-eval run --nope", "--nope"),
    row("lm-eval nope", "nope"),
]  # fmt: skip

_RUN = Path()


@pytest.fixture(scope="module", autouse=True)
def stored_run(tmp_path_factory: pytest.TempPathFactory) -> None:
    global _RUN
    place = tmp_path_factory.mktemp("stored")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(options, "load_model", lambda args, spec: Bigram(spec))
        patch.chdir(place)
        assert main([*PASSK.split()]) == 0
    (config,) = (place / "runs").rglob("config.json")
    _RUN = config.parent


def on_disk() -> list[str]:
    return sorted(f"{place}/{name}" for place, folders, files in os.walk(".") for name in (*folders, *files))


def complaint(
    case: Row, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> str | None:
    """What is wrong with how a command line is refused; None when nothing is."""
    monkeypatch.chdir(folder)
    monkeypatch.delenv("FLEXEVAL_DATA_DIR", raising=False)
    if not case.real_model:
        monkeypatch.setattr(options, "load_model", lambda args, spec: Bigram(spec))
    for setup in case.setup:
        setup()
    before = on_disk()
    capsys.readouterr()
    try:
        status = main(case.argv)
    except BaseException as error:
        return f"raised {type(error).__name__}: {str(error)[:200]}"
    captured = capsys.readouterr()
    if status != 2:
        return f"status {status}: {captured.err[-300:]}"
    lines = captured.err.splitlines()
    if len(lines) != 1 or not lines[0].startswith("flexeval: error: "):
        return f"{len(lines)} lines: {captured.err[:300]!r}"
    if len(lines[0]) > LONGEST_LINE + 20 or not lines[0].isprintable():
        return f"a line of {len(lines[0])} characters: {lines[0][:100]!r}"
    if absent := [word for word in case.words if word not in lines[0]]:
        return f"no {absent[0]!r} in: {lines[0]}"
    if made := sorted(set(on_disk()) - set(before)):
        return f"made {made[:3]}"
    return None


@pytest.mark.parametrize("case", ROWS, ids=lambda case: case.name)
def test_a_bad_command_line_gets_one_line(
    case: Row, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert complaint(case, tmp_path, monkeypatch, capsys) is None


def test_the_bigram_is_accepted(in_tmp: Path, bigram: list[str]) -> None:
    """Without what is wrong in the rows, the commands run."""
    assert main(PASSK.split()) == 0 and main(SAMPLE.split()) == 0
    assert torch.get_default_dtype() == torch.float32
