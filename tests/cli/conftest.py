"""A model of a few words, so that whole commands run in a moment, and a way to run them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor

from flexeval.cli import options
from flexeval.cli.main import main
from flexeval.models.files import Source, local_source
from flexeval.models.fingerprint import Fingerprint
from flexeval.records import Prompt

WORDS = ["", "", " Say", " The", " answer", " is", ".", *(f" {number}" for number in range(16))]
MASK, EOS, SAY, THE, ANSWER, IS, STOP, NUMBERS = 0, 1, 2, 3, 4, 5, 6, slice(7, None)


def _bigrams() -> Tensor:
    """Logits of a token given its left neighbour: mostly "The answer is 12."."""
    logits_VV = torch.full((len(WORDS), len(WORDS)), -4.0)
    logits_VV[MASK, 3:] = torch.linspace(0.0, 2.0, len(WORDS) - 3)
    logits_VV[IS, NUMBERS] = torch.linspace(4.0, 6.0, 16)
    logits_VV[NUMBERS, STOP] = 6.0
    for left, right in ((SAY, THE), (THE, ANSWER), (ANSWER, IS), (STOP, EOS), (EOS, EOS)):
        logits_VV[left, right] = 6.0
    return logits_VV


class Bigram:
    """A mask predictor that looks at the token to the left and at nothing else."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.mask_id, self.eos_id, self.stop_ids = MASK, EOS, frozenset({EOS})
        self.vocab_size, self.max_length = len(WORDS), 120
        self.device, self.dtype = torch.device("cpu"), torch.float32
        source = local_source(name) or Source(files=None, revision=None)
        self.fingerprint = Fingerprint(weights="bigram", network="bigram", vocabulary="words", source=source)
        self._logits_VV = _bigrams()

    def encode(self, prompt: Prompt) -> list[int]:
        return [7 + ord(char) % 16 for char in prompt.user[:40]] + [SAY]

    def decode(self, token_ids: Sequence[int]) -> str:
        return "".join(self.pieces(token_ids))

    def pieces(self, token_ids: Sequence[int]) -> list[str]:
        return [WORDS[token] for token in token_ids]

    def hidden(self, tokens_BL: Tensor, attention_BL: Tensor | None = None, asked_BL: Tensor | None = None) -> Tensor:
        return self._logits_VV[tokens_BL.roll(1, dims=1)]

    def logits(self, hidden_ND: Tensor) -> Tensor:
        return hidden_ND.clone()


@pytest.fixture
def bigram(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every model name loads the bigram model; the names that were asked for."""
    asked: list[str] = []

    def load(args: object, spec: str) -> Bigram:
        asked.append(spec)
        return Bigram(spec)

    monkeypatch.setattr(options, "load_model", load)
    return asked


@pytest.fixture
def in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory is empty and temporary."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FLEXEVAL_DATA_DIR", raising=False)
    return tmp_path


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a command that must be refused: status 2, one line on stderr, nothing on stdout; the line."""

    def run(*argv: str) -> str:
        assert main(list(argv)) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        # Progress lines of earlier orders are no part of the error.
        *progress, line = captured.err.splitlines()
        assert all(note.endswith("samples to draw") for note in progress), progress
        assert line.startswith("flexeval: error: ")
        assert captured.err.endswith("\n")
        return line

    return run
