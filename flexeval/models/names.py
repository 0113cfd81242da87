"""Short names of published checkpoints, and their hub ids. Imports no torch."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from flexeval.errors import PluginError
from flexeval.registry import Registry


@dataclass(frozen=True, kw_only=True)
class KnownModel:
    """Where a named checkpoint is, and how to prompt it."""

    repo: str | None
    """Hub id; None for a bundled checkpoint, which lies in the folder of its name beside this file."""
    chat: bool = True
    """Use the tokenizer's chat template. False for base models, whose template was not trained."""
    attention: str | None = None
    """The attention rule that it was trained with, as in "block-causal:32". None goes by its configuration."""
    family: str | None = None
    """Its family, which tells how its mask and the end of a turn are called."""
    settings: str = ""
    """What its authors decode with, as options of flexeval."""


DTYPES = ("float32", "bfloat16", "float16")
"""What weights may be loaded in."""


def check_known_model(model: object) -> None:
    """Raise PluginError, which says what to write, unless something says where a checkpoint is."""
    if not isinstance(model, KnownModel):
        raise PluginError(f'{model!r} is no KnownModel; write flexeval.models.KnownModel(repo="owner/name")')
    if not isinstance(model.repo, str) or not re.fullmatch(r"[\w.-]+/[\w.-]+", model.repo):
        raise PluginError(f"its repo {model.repo!r} is no hub id; write 'owner/name'")
    if not isinstance(model.chat, bool):
        raise PluginError(f"its chat must be True or False, not {model.chat!r}")


MODELS: Registry[KnownModel] = Registry("model", entry_point_group="flexeval.models", check=check_known_model)
for _name, _summary in [
    ("tiny", "bundled: about a million parameters, word problems and 4x4 Sudoku"),
    ("forks", "bundled: about a million parameters, the task forks"),
]:
    if (Path(__file__).parent / _name / "model.safetensors").is_file():
        MODELS.register(_name, KnownModel(repo=None), summary=_summary)
for _name, _repo, _chat, _summary in [
    ("llada-8b-instruct", "GSAI-ML/LLaDA-8B-Instruct", True, "LLaDA 8B, instruction-tuned (arXiv:2502.09992)"),
    ("llada-8b-base", "GSAI-ML/LLaDA-8B-Base", False, "LLaDA 8B, base"),
    ("llada-1.5", "GSAI-ML/LLaDA-1.5", True, "LLaDA 8B with preference optimisation (arXiv:2505.19223)"),
    (
        "llada-justgrpo-gsm8k",
        "nzl-thu/LLaDA-Instruct-JustGRPO-GSM8K",
        True,
        "LLaDA 8B after GRPO in AR order on GSM8K (arXiv:2601.15165)",
    ),
    ("llada-justgrpo-math500", "nzl-thu/LLaDA-Instruct-JustGRPO-Math500", True, "the same, trained for MATH-500"),
    ("llada-justgrpo-code", "nzl-thu/LLaDA-Instruct-JustGRPO-Code", True, "the same, trained for HumanEval and MBPP"),
    ("dream-7b-instruct", "Dream-org/Dream-v0-Instruct-7B", True, "Dream 7B, instruction-tuned (arXiv:2508.15487)"),
    ("dream-7b-base", "Dream-org/Dream-v0-Base-7B", False, "Dream 7B, base"),
    ("dream-coder-7b-instruct", "Dream-org/Dream-Coder-v0-Instruct-7B", True, "Dream-Coder 7B, instruction-tuned"),
    ("diffucoder-7b-instruct", "apple/DiffuCoder-7B-Instruct", True, "DiffuCoder 7B, instruct (arXiv:2506.20639)"),
    ("diffucoder-7b-base", "apple/DiffuCoder-7B-Base", False, "DiffuCoder 7B, base"),
    ("diffucoder-7b-cpgrpo", "apple/DiffuCoder-7B-cpGRPO", True, "DiffuCoder 7B after coupled GRPO"),
    (
        "a2d-qwen3-0.6b",
        "dllm-hub/Qwen3-0.6B-diffusion-mdlm-v0.1",
        True,
        "Qwen3 0.6B turned into a mask predictor (dLLM, arXiv:2602.22661)",
    ),
    (
        "a2d-qwen2.5-coder-0.5b",
        "dllm-hub/Qwen2.5-Coder-0.5B-Instruct-diffusion-mdlm-v0.1",
        True,
        "Qwen2.5-Coder 0.5B turned into a mask predictor",
    ),
]:
    MODELS.register(_name, KnownModel(repo=_repo, chat=_chat), summary=_summary)
