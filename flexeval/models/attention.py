"""Who sees whom on a canvas: the attention rule that a model was trained with.

Every rule is one number for each position, its level: **a position sees the positions of its own and of lower levels**.
With blocks of tokens as levels attention is block-causal, with ranks it is that of WeDLM, with one level it is full.
Knows no layers and no samplers; numpy only. Axis suffixes: `B` rows, `L` canvas (prompt and answer), `G` the answer.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from flexeval.errors import InputError, InputTypeError, did_you_mean
from flexeval.fields import LARGEST_WHOLE, require, require_types
from flexeval.records import BoolArray, IntArray

Kind = Literal["full", "full-to-block", "block-causal", "open-block", "rank"]
"""
full            all see all
full-to-block   all see all up to the end of the current block; later blocks are not there yet (iLLaDA)
block-causal    a position sees its own block and those before
open-block      positions before the current block see themselves and what is before them; the current block sees all
                of these and itself (Nemotron-Labs-Diffusion)
rank            tokens in the order of their positions, then masks: each sees itself and what is before it (WeDLM)
"""
WITH_BLOCKS: tuple[Kind, ...] = ("full-to-block", "block-causal", "open-block")


@dataclass(frozen=True, kw_only=True)
class Attention:
    """An attention rule. `spec` is its short form, as in `block-causal:32`."""

    kind: Kind = "full"
    block: int | None = None
    """Positions of a block, for the kinds that have blocks. None among the rules of a family: it must be said."""
    from_prompt: bool = False
    """Blocks are counted from the prompt's first token, so that its tail shares a block with the first generated
    positions. Otherwise from its end, as if it were padded to whole blocks on the left."""
    first_token_apart: bool = False
    """The first token of a block is predicted by the finished block before it, and committed before the rest is
    evaluated (Fast-dLLM v2)."""
    forgets: int | None = None
    """A token that the following blocks neither see nor count (the padding token of A2D)."""

    def __post_init__(self) -> None:
        require_types(self, owner="Attention.")
        if self.block is not None:
            require(self.block >= 1, f"Attention.block must be at least 1, not {self.block}")
            require(self.kind in WITH_BLOCKS, f"Attention.kind {self.kind!r} has no blocks; leave out block")

    @property
    def is_full(self) -> bool:
        """Whether all positions see all."""
        return self.kind == "full"

    @property
    def moves(self) -> bool:
        """Whether what a finished position sees changes when the next block begins."""
        return self.kind in ("full-to-block", "open-block") or self.forgets is not None

    @property
    def spec(self) -> str:
        """`kind` or `kind:block`."""
        return self.kind if self.block is None else f"{self.kind}:{self.block}"

    def __str__(self) -> str:
        """The rule as lists show it."""
        return f"{self.spec} from the prompt's start" if self.from_prompt else self.spec

    # ----- blocks -----

    def shared(self, prompt_length: int) -> int:
        """Positions of the prompt's tail in the block where the answer begins; 0 where a block begins there."""
        return prompt_length % self.block if self.from_prompt and self.block else 0

    def block_ends(self, prompt_length: int, gen_length: int) -> list[int]:
        """Where the model's blocks end among the generated positions; the last may be cut."""
        if self.kind not in WITH_BLOCKS:
            return [gen_length]
        block = self._block
        return [*range(block - self.shared(prompt_length), gen_length, block), gen_length]

    def filled_blocks(self, prompt_length: int, gen_length: int, length: int) -> list[int]:
        """Where the blocks begin in which the generated positions are filled, ascending: blocks of `length` positions
        within those that the model attends by. The first begins below 0 where the prompt's tail has begun it.
        """
        starts: list[int] = []
        for start, end in pairwise([0, *self.block_ends(prompt_length, gen_length)]):
            first = start if start else -self.shared(prompt_length)
            starts += [place for place in range(first, end, length) if place + length > start]
        return starts

    def whole_length(self, prompt_length: int, gen_length: int) -> int:
        """Positions of prompt and answer, up to the end of the last block."""
        length = prompt_length + gen_length
        if self.kind not in WITH_BLOCKS:
            return length
        beyond = length if self.from_prompt else gen_length
        return length + -beyond % self._block

    # ----- who sees whom -----

    def attended(
        self, tokens_BL: IntArray, attended_BL: BoolArray, *, answer: int, window_end_B: IntArray
    ) -> BoolArray:
        """Which positions count at all [B, L]: those that did, without what the current block has forgotten."""
        if self.forgets is None:
            return attended_BL
        finished_BL = np.arange(tokens_BL.shape[1]) < answer + self._open_start_B1(window_end_B)
        kept_BL: BoolArray = attended_BL & ~((tokens_BL == self.forgets) & finished_BL)
        return kept_BL

    def levels(
        self,
        tokens_BL: IntArray,
        attended_BL: BoolArray,
        *,
        answer: int,
        window_end_B: IntArray,
        mask_id: int,
    ) -> NDArray[np.int64]:
        """The level of every position [B, L]; padding has one, too, and nobody sees it.

        Args:
            tokens_BL: canvases.
            attended_BL: False at padding.
            answer: the column at which the generated positions begin.
            window_end_B: generated positions up to the end of what is being filled; its last one is in the current
                block.
            mask_id: the mask token.
        """
        columns_L = np.arange(tokens_BL.shape[1])
        if self.kind == "full":
            return np.zeros(tokens_BL.shape, dtype=np.int64)
        if self.kind == "rank":
            token_BL = attended_BL & (tokens_BL != mask_id)
            after_B1 = token_BL.sum(axis=1, keepdims=True)
            ranks_BL: NDArray[np.int64] = np.where(
                token_BL, token_BL.cumsum(axis=1), after_B1 + (~token_BL).cumsum(axis=1)
            )
            return ranks_BL
        if self.kind == "block-causal":
            first_B1 = attended_BL.argmax(axis=1)[:, None] if self.from_prompt else np.array([[answer]])
            return np.broadcast_to((columns_L - first_B1) // self._block, tokens_BL.shape).copy()

        start_B1 = answer + self._open_start_B1(window_end_B)
        beyond_BL = columns_L >= start_B1 + self._block
        if self.kind == "full-to-block":
            return beyond_BL.astype(np.int64)
        return np.where(columns_L < start_B1, columns_L - len(columns_L), beyond_BL)

    @property
    def _block(self) -> int:
        if self.block is None:
            raise ValueError(f"the rule {self.kind!r} has no block length")
        return self.block

    def _open_start_B1(self, window_end_B: IntArray) -> IntArray:
        """The generated position at which the current block begins."""
        start_B1: IntArray = (window_end_B[:, None] - 1) // self._block * self._block
        return start_B1


FULL = Attention()


def parse_attention(text: object) -> Attention:
    """The rule that `kind` or `kind:block` stands for.

    Raises:
        InputError: another text. It says what to write.
    """
    if not isinstance(text, str):
        raise InputTypeError(f"an attention rule is a text, such as 'block-causal:32', not a {type(text).__name__}")
    kind, colon, block = text.strip().partition(":")
    if kind not in get_args(Kind):
        raise did_you_mean("attention rule", kind, get_args(Kind))
    if kind not in WITH_BLOCKS:
        if colon:
            raise InputError(f"attention rule {kind!r} has no blocks; write {kind!r}")
        return Attention(kind=kind)  # type: ignore[arg-type] # one of the kinds
    if not re.fullmatch(r"[1-9]\d{0,9}", block) or int(block) > LARGEST_WHOLE:
        raise InputError(
            f"attention rule {kind!r} needs the positions of a block, a whole number of at least 1, as in "
            f"'{kind}:32', not {text!r}"
        )
    return Attention(kind=kind, block=int(block))


BLOCK_FIELDS = ("block_size", "block_length", "bd_size")
"""What configurations call the positions of a block."""
RULE_FIELD = "attention_rule"
"""What flexeval writes into the config.json of a checkpoint whose other fields do not tell its rule."""


def choose_attention(
    name: str, rules: Sequence[Attention], config: dict[str, Any], asked: Attention | None
) -> Attention:
    """The rule of a checkpoint: what the user or its short name says, else what its configuration says, else what all
    checkpoints of its family have. Never a guess.

    Args:
        name: of the model, for messages.
        rules: that the family's checkpoints may have. The first is what they have unless something says otherwise; if
            it lacks a block length, something must.
        config: config.json.
        asked: by the user, or by a short name.

    Raises:
        InputError: none of these says it, or what they say is no rule of the family.
    """
    if asked is None and config.get(RULE_FIELD) is not None:
        asked = parse_attention(config[RULE_FIELD])
    if asked is None:
        asked = _by_block_field(rules, config)
    if asked is not None:
        for rule in rules:
            if rule.kind == asked.kind:
                return replace(rule, block=asked.block)
        raise InputError(f"{name!r} cannot have the attention rule {asked.spec!r}; it may have {_choices(rules)}")
    if rules[0].block is not None or rules[0].kind not in WITH_BLOCKS:
        return rules[0]
    raise InputError(
        f"{name!r} does not say which attention it was trained with; say it with --attention (in Python, attention=) "
        f"or as {RULE_FIELD} in its config.json: {_choices(rules)}"
    )


def _by_block_field(rules: Sequence[Attention], config: dict[str, Any]) -> Attention | None:
    """The rule with blocks, of the length that the configuration names."""
    field = next((field for field in BLOCK_FIELDS if config.get(field) is not None), None)
    rule = next((rule for rule in rules if rule.kind in WITH_BLOCKS), None)
    if field is None or rule is None:
        return None
    block = config[field]
    if not isinstance(block, int) or isinstance(block, bool) or not 1 <= block <= LARGEST_WHOLE:
        raise InputError(
            f"cannot build the model: config.json's {field} is {block!r}, but must be a whole number of at least 1"
        )
    return replace(rule, block=block)


def _choices(rules: Sequence[Attention]) -> str:
    texts = [f"{rule.kind}:{rule.block or 'N'}" if rule.kind in WITH_BLOCKS else rule.kind for rule in rules]
    unsaid = any(rule.kind in WITH_BLOCKS and rule.block is None for rule in rules)
    return " or ".join(texts) + (", where N is the block length of its training" if unsaid else "")
