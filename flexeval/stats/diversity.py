"""How different the samples of a problem are: distinct answers, distinct texts, self-BLEU, distinct canvases by step.

All of these fall as n grows, so they are compared at equal n; unequal numbers of samples are refused.

Knows samples and token rows as run folders hold them. It does not know what is correct.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

from flexeval.errors import InputError
from flexeval.hashing import mixed_bits
from flexeval.stats.bootstrap import DEFAULT, Bootstrap
from flexeval.stats.curves import band
from flexeval.stats.parts import Rows, parts_of
from flexeval.stats.pooled import problem_codes

_ORDERS = range(1, 5)
"""Lengths of the n-grams of BLEU."""
Ngrams = list["Counter[tuple[str, ...]]"]
"""Of one text: how often each n-gram occurs, by length."""


def diversity_table(samples: pd.DataFrame) -> pd.DataFrame:
    """Diversity of each problem's samples.

    Args:
        samples: columns problem_id, extracted, text; the same number of samples of every problem, at least two.

    Returns:
        One row a problem, fractions: distinct_answers and distinct_texts (how many there are, over the number of
        samples; no answer is not an answer, answers are compared as extracted), self_bleu. `interval` and `comparison`
        take it.

    Raises:
        InputError: no sample, unequal numbers of samples, or a single one.
    """
    by_problem = samples.groupby("problem_id", sort=False, observed=True)
    n = _equal_n(by_problem.size())
    if n < 2:
        raise InputError("diversity needs at least 2 samples of every problem; sample more")
    return pd.DataFrame(
        {
            "distinct_answers": by_problem["extracted"].nunique() / n,
            "distinct_texts": by_problem["text"].nunique() / n,
            "self_bleu": by_problem["text"].agg(lambda texts: self_bleu([text or "" for text in texts])),
        }
    )


def self_bleu(texts: Sequence[str]) -> float:
    """The mean BLEU of each text against all others as its references (Zhu et al. 2018, arXiv:1802.01886).

    Tokens, smoothing and brevity penalty are sacrebleu's for single sentences (13a, exponential, effective order).
    The n-grams of all references are counted once, so that the work grows with the number of texts, not its square.

    Args:
        texts: at least two.

    Returns:
        A fraction: 1 when all texts are the same and not empty, 0 when none shares a word with another.

    Raises:
        InputError: fewer than two texts.
    """
    if len(texts) < 2:
        raise InputError("self-BLEU compares texts with each other; give at least two")
    tokenize = Tokenizer13a()
    words = [tokenize(text.strip()).split() for text in texts]
    ngrams = [[_count(of_text, length) for length in _ORDERS] for of_text in words]
    most = [_two_largest([of_text[i] for of_text in ngrams]) for i in range(len(_ORDERS))]
    lengths = np.array([len(of_text) for of_text in words])
    scores = []
    for place, of_text in enumerate(ngrams):
        # Without this text, an n-gram occurs at most as often as in the text where it is most, or the runner-up.
        correct = [
            sum(min(times, second if times == first else first) for gram, times in counts.items()
                for first, second in [most[i][gram]])
            for i, counts in enumerate(of_text)
        ]  # fmt: skip
        score = BLEU.compute_bleu(
            correct=correct,
            total=[counts.total() for counts in of_text],
            sys_len=int(lengths[place]),
            ref_len=_closest(np.delete(lengths, place), int(lengths[place])),
            smooth_method="exp",
            effective_order=True,
        )
        scores.append(score.score / 100)
    return float(np.mean(scores))


def collapse_table(tokens: Rows, samples: pd.DataFrame) -> pd.DataFrame:
    """The share of distinct canvases among the samples of a problem after each step.

    1 when all differ, 1 / n when all are the same. A finished sample keeps its last canvas; one that committed nothing
    has the empty canvas throughout.

    Args:
        tokens: columns problem_id, sample_index, position, token_id, commit_step (0-based); every committed position;
            a frame or parts.
        samples: columns problem_id, sample_index: all samples, those without a row in `tokens` too.

    Returns:
        One row a problem, one column a step (0-based), fractions; `collapse_band` averages them.

    Raises:
        InputError: no sample, problems with unequal numbers of samples, or tokens of none of the samples.
    """
    n = _equal_n(samples.groupby("problem_id", observed=True).size())
    problems = pd.Index(samples["problem_id"].unique())
    problem_S = problem_codes(samples["problem_id"], problems)
    number_S = np.sort(problem_S * 2**31 + samples["sample_index"].to_numpy(np.int64))
    shares = [_distinct_shares(part, problems, number_S, n) for part in parts_of(tokens)]
    steps = max((share_PT.shape[1] for _, share_PT in shares), default=0)
    table_PT = np.full((len(problems), steps), 1 / n)
    for own_P, share_PT in shares:
        # All samples are done: nothing changes any more.
        table_PT[own_P] = np.pad(share_PT, [(0, 0), (0, steps - share_PT.shape[1])], mode="edge")
    return pd.DataFrame(table_PT, index=problems.rename("problem_id"), columns=pd.RangeIndex(steps, name="step"))


def _distinct_shares(
    tokens: pd.DataFrame, problems: pd.Index, number_S: NDArray[np.int64], n: int
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """(the places of the problems that have a row in a part, their shares [P, T]); samples are sorted numbers."""
    problem_R = problem_codes(tokens["problem_id"], problems)
    number_R = problem_R * 2**31 + tokens["sample_index"].to_numpy(np.int64)
    sample_R = np.searchsorted(number_S, number_R).clip(max=len(number_S) - 1)
    if (number_S[sample_R] != number_R).any():
        raise InputError("there are token rows of samples that are not listed; give the samples of the same run")
    own_P = np.flatnonzero(np.bincount(problem_R, minlength=len(problems)))
    if not len(own_P):
        return own_P, np.zeros((0, 0))

    # Sorted, the samples of a problem are n rows that follow each other. A canvas is the sum of the hashes of its
    # committed (position, token) pairs, so a step only adds to it.
    step_R = tokens["commit_step"].to_numpy()
    steps = int(step_R.max(initial=-1)) + 1
    canvas_ST = np.zeros((len(own_P) * n, steps), dtype=np.uint64)
    key_R = (tokens["position"].to_numpy(np.uint64) << np.uint64(32)) | tokens["token_id"].to_numpy(np.uint64)
    own_R = np.searchsorted(own_P, problem_R) * n + sample_R % n
    np.add.at(canvas_ST.reshape(-1), own_R * steps + step_R, mixed_bits(key_R))
    np.cumsum(canvas_ST, axis=1, out=canvas_ST)
    ordered_PNT = np.sort(canvas_ST.reshape(len(own_P), n, steps), axis=1)
    distinct_PT = 1 + (np.diff(ordered_PNT, axis=1) != 0).sum(axis=1)
    return own_P, distinct_PT / n


def collapse_band(tokens: Rows, samples: pd.DataFrame, *, bootstrap: Bootstrap = DEFAULT) -> pd.DataFrame:
    """The mean over problems of `collapse_table`, with a band that holds the whole true curve.

    Args:
        tokens, samples: as `collapse_table`.
        bootstrap: level, replicates and seed.

    Returns:
        One row a step: step (0-based), estimate, low, high, fractions. A problem whose samples are all done keeps the
        share of its last step.

    Raises:
        InputError: what `collapse_table` refuses.
    """
    return band(collapse_table(tokens, samples), bootstrap=bootstrap)


def require_one_n(*samples: pd.DataFrame) -> None:
    """Raise InputError unless every problem has as many samples as any other, in all of several runs.

    Args:
        samples: column problem_id; of each run that is to be compared.
    """
    sizes = pd.concat([of_run.groupby("problem_id", observed=True).size() for of_run in samples])
    if len(sizes) and sizes.min() != sizes.max():
        raise InputError(
            f"diversity is compared at one n, but problems have {sizes.min()} to {sizes.max()} samples; compare the "
            f"first {sizes.min()} samples of each, or sample more"
        )


def _equal_n(sizes: pd.Series[int]) -> int:
    if sizes.empty:
        raise InputError("there is no sample to compare with others; sample at least one")
    if sizes.min() != sizes.max():
        raise InputError(
            f"diversity is measured at one n, but {sizes.idxmin()!r} has {sizes.min()} samples and "
            f"{sizes.idxmax()!r} has {sizes.max()}; take the first {sizes.min()} of each"
        )
    return int(sizes.min())


def _count(words: Sequence[str], length: int) -> Counter[tuple[str, ...]]:
    return Counter(zip(*(words[start:] for start in range(length)), strict=False))


def _two_largest(counts: Sequence[Counter[tuple[str, ...]]]) -> dict[tuple[str, ...], tuple[int, int]]:
    """Of each n-gram, the largest and the second largest number of occurrences in one text."""
    largest: dict[tuple[str, ...], tuple[int, int]] = {}
    for of_text in counts:
        for gram, times in of_text.items():
            first, second = largest.get(gram, (0, 0))
            largest[gram] = (times, first) if times > first else (first, max(second, times))
    return largest


def _closest(lengths: NDArray[np.int64], length: int) -> int:
    """The reference length that is nearest, the shorter one of two."""
    shortest_first: list[int] = sorted(lengths.tolist())
    return min(shortest_first, key=lambda other: abs(other - length))
