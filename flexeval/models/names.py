"""Short names of published checkpoints, and their hub ids. Imports no torch."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from flexeval.errors import InputError, PluginError
from flexeval.models.attention import parse_attention
from flexeval.models.recommended import NOTHING_SAID, Recommended
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
    recommended: Recommended = NOTHING_SAID
    """The canvas that they decode."""


def model_name(model: str, adapter: str | None) -> str:
    """A model's name with that of its adapter: `tiny+my-lora`, or `tiny+training-step-000030` for a checkpoint's."""
    if adapter is None:
        return model
    parts = [part for part in re.split(r"[/\\]", adapter) if part not in ("", "adapter", "checkpoints")]
    numbered = parts and re.fullmatch(r"(checkpoint|step)-\d+", parts[-1])
    return f"{model}+{'-'.join(parts[-2 if numbered else -1 :]) or adapter}"


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
    canvas: object = model.recommended
    if not isinstance(canvas, Recommended):
        raise PluginError(f"its recommended must be a Recommended, as in Recommended(gen_length=256), not {canvas!r}")
    if model.attention is not None:
        try:
            parse_attention(model.attention)
        except InputError as error:
            raise PluginError(str(error)) from error


MODELS: Registry[KnownModel] = Registry("model", entry_point_group="flexeval.models", check=check_known_model)
for _name, _family, _attention, _summary in [
    ("tiny", "llada", "full", "bundled: about a million parameters, word problems and 4x4 Sudoku"),
    ("forks", "llada", "full", "bundled: about a million parameters, the task forks"),
    ("tiny-block", "a2d-llama", "block-causal:8", "bundled: the same as a block-diffusion model, in blocks of 8"),
]:
    if (Path(__file__).parent / _name / "model.safetensors").is_file():
        _known = KnownModel(repo=None, attention=_attention, family=_family)
        MODELS.register(_name, _known, summary=_summary)


def _register(
    family: str, attention: str, settings: str, *models: tuple[str, str, str], canvas: Recommended = NOTHING_SAID
) -> None:
    """Register (short name, hub id, summary) of one family. Ids that say Base are asked without chat template."""
    for name, repo, summary in models:
        chat = "base" not in repo.lower()
        known = KnownModel(
            repo=repo, chat=chat, attention=attention, family=family, settings=settings, recommended=canvas
        )
        MODELS.register(name, known, summary=summary)


_register(
    "llada",
    "full",
    "--order confidence",
    ("llada-8b-instruct", "GSAI-ML/LLaDA-8B-Instruct", "LLaDA 8B, instruction-tuned (arXiv:2502.09992)"),
    ("llada-8b-base", "GSAI-ML/LLaDA-8B-Base", "LLaDA 8B, base"),
    ("llada-1.5", "GSAI-ML/LLaDA-1.5", "LLaDA 8B with preference optimisation (arXiv:2505.19223)"),
    (
        "llada-justgrpo-gsm8k",
        "nzl-thu/LLaDA-Instruct-JustGRPO-GSM8K",
        "LLaDA 8B after GRPO in AR order on GSM8K (arXiv:2601.15165)",
    ),
    ("llada-justgrpo-math500", "nzl-thu/LLaDA-Instruct-JustGRPO-Math500", "the same, trained for MATH-500"),
    ("llada-justgrpo-code", "nzl-thu/LLaDA-Instruct-JustGRPO-Code", "the same, trained for HumanEval and MBPP"),
    # Of arXiv:2601.15165.
    canvas=Recommended(gen_length=256, block_length=32),
)
_register(
    "Dream",
    "full",
    "--order entropy --schedule dream --scored sampled",
    ("dream-7b-instruct", "Dream-org/Dream-v0-Instruct-7B", "Dream 7B, instruction-tuned (arXiv:2508.15487)"),
    ("dream-7b-base", "Dream-org/Dream-v0-Base-7B", "Dream 7B, base"),
    ("dream-coder-7b-instruct", "Dream-org/Dream-Coder-v0-Instruct-7B", "Dream-Coder 7B, instruction-tuned"),
    ("diffucoder-7b-instruct", "apple/DiffuCoder-7B-Instruct", "DiffuCoder 7B, instruct (arXiv:2506.20639)"),
    ("diffucoder-7b-base", "apple/DiffuCoder-7B-Base", "DiffuCoder 7B, base"),
    ("diffucoder-7b-cpgrpo", "apple/DiffuCoder-7B-cpGRPO", "DiffuCoder 7B after coupled GRPO"),
)
_DLLM = "(dLLM, arXiv:2602.22661)"
for _family, _title, _short, _repo in (
    ("a2d-qwen3", "Qwen3 0.6B", "a2d-qwen3-0.6b", "dllm-hub/Qwen3-0.6B-diffusion"),
    (
        "a2d-qwen2",
        "Qwen2.5-Coder 0.5B",
        "a2d-qwen2.5-coder-0.5b",
        "dllm-hub/Qwen2.5-Coder-0.5B-Instruct-diffusion",
    ),
):
    _register(
        _family,
        "full",
        "--order confidence --schedule dllm",
        (_short, f"{_repo}-mdlm-v0.1", f"{_title} turned into a mask predictor {_DLLM}"),
    )
    _register(
        _family,
        "block-causal:32",
        "--order confidence --schedule dllm",
        (f"{_short}-bd3lm", f"{_repo}-bd3lm-v0.1", f"{_title} turned into a block-diffusion model {_DLLM}"),
    )
for _family, _models in {
    "sdar": (
        ("sdar-1.7b-chat", "JetLM/SDAR-1.7B-Chat", "SDAR 1.7B (arXiv:2510.06303)"),
        ("sdar-4b-chat", "JetLM/SDAR-4B-Chat", "SDAR 4B"),
        ("sdar-8b-chat", "JetLM/SDAR-8B-Chat", "SDAR 8B"),
        ("trado-4b-instruct", "Gen-Verse/TraDo-4B-Instruct", "TraDo 4B: SDAR after reinforcement learning"),
        ("trado-8b-instruct", "Gen-Verse/TraDo-8B-Instruct", "TraDo 8B"),
        ("trado-8b-thinking", "Gen-Verse/TraDo-8B-Thinking", "TraDo 8B, long reasoning"),
    ),
    "sdar_moe": (("sdar-30b-a3b-chat", "JetLM/SDAR-30B-A3B-Chat", "SDAR 30B with experts"),),
}.items():
    _register(_family, "block-causal:4", "--order low_confidence_dynamic:tau=0.85 --temperature 1", *_models)
_register(
    "stable-diffcoder",
    "block-causal:4",
    "--order threshold:tau=0.95 --temperature 0",
    ("stable-diffcoder-8b-instruct", "ByteDance-Seed/Stable-DiffCoder-8B-Instruct", "Stable-DiffCoder 8B, instruct"),
    ("stable-diffcoder-8b-base", "ByteDance-Seed/Stable-DiffCoder-8B-Base", "Stable-DiffCoder 8B, base"),
)
_register(
    "Fast_dLLM_Qwen",
    "block-causal:32",
    "--order low_confidence_dynamic:tau=0.9 --temperature 0",
    ("fast-dllm-v2-7b", "Efficient-Large-Model/Fast_dLLM_v2_7B", "Fast-dLLM v2 7B (arXiv:2509.26328)"),
    ("fast-dllm-v2-1.5b", "Efficient-Large-Model/Fast_dLLM_v2_1.5B", "Fast-dLLM v2 1.5B"),
    canvas=Recommended(block_length=8),
)
_register(
    "llada-moe",
    "full",
    "--order confidence",
    ("llada-moe-7b-instruct", "inclusionAI/LLaDA-MoE-7B-A1B-Instruct", "LLaDA-MoE 7B, 1B active (arXiv:2509.24389)"),
    ("llada-moe-7b-base", "inclusionAI/LLaDA-MoE-7B-A1B-Base", "LLaDA-MoE 7B, base"),
)
_LLADA2 = "--order low_confidence_dynamic:tau=0.95 --temperature 0"
_EDITING = "edits what it has committed under --order edit"
_register(
    "llada2_moe",
    "block-causal:32",
    _LLADA2,
    ("llada2.0-mini", "inclusionAI/LLaDA2.0-mini", "LLaDA2.0 16B with experts (arXiv:2512.15745)"),
    ("llada2.0-flash", "inclusionAI/LLaDA2.0-flash", "LLaDA2.0 100B with experts"),
    ("llada2.1-mini", "inclusionAI/LLaDA2.1-mini", f"LLaDA2.1 16B; {_EDITING}"),
    ("llada2.1-flash", "inclusionAI/LLaDA2.1-flash", f"LLaDA2.1 100B; {_EDITING}"),
)
_register(
    "illada",
    "full-to-block:32",
    "--order confidence --temperature 0",
    ("illada-8b-instruct", "GSAI-ML/iLLaDA-8B-Instruct", "iLLaDA 8B, instruct (arXiv:2606.25331)"),
    ("illada-8b-base", "GSAI-ML/iLLaDA-8B-Base", "iLLaDA 8B, base"),
    canvas=Recommended(gen_length=1024, block_length=32),
)
_register(
    "CoDA",
    "full",
    "--schedule dream --scored sampled",
    ("coda-1.7b-instruct", "Salesforce/CoDA-v0-Instruct", "CoDA 1.7B, instruct"),
)
_register(
    "wedlm",
    "rank",
    "",  # its engine's own rule is none of the orders
    ("wedlm-8b-instruct", "tencent/WeDLM-8B-Instruct", "WeDLM 8B, instruct (arXiv:2512.22737)"),
    ("wedlm-8b-base", "tencent/WeDLM-8B-Base", "WeDLM 8B, base"),
    ("wedlm-7b-instruct", "tencent/WeDLM-7B-Instruct", "WeDLM 7B, instruct"),
    ("wedlm-7b-base", "tencent/WeDLM-7B-Base", "WeDLM 7B, base"),
)
_register(
    "dream-reasoner",
    "block-causal:32",
    "--order low_confidence_dynamic:tau=0.9",
    ("dream-reasoner-8b", "Dream-org/DreamReasoner-8B", "DreamReasoner 8B (arXiv:2606.19257); no reference vectors"),
)
