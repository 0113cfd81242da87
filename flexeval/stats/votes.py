"""The answers of a problem's samples as votes: whether the majority of k samples is right, and how spread they are.

Answers are compared as extracted, as in `flexeval.stats.diversity`: two spellings are two answers. A sample without an
answer has no vote.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from flexeval.errors import InputError
from flexeval.stats.pass_at_k import too_few, whole
from flexeval.stats.verdict import Floats

MOST_SAMPLES = 1024
"""Of a problem: the number of subsets of more has no float64."""
Counts = NDArray[np.int64]


def majority_table(samples: pd.DataFrame, ks: Sequence[int]) -> pd.DataFrame:
    """maj@k of every problem at every k, as fractions: the chance that the most frequent answer of k samples is right.

    Self-consistency (Wang et al. 2022, arXiv:2203.11171, section 2) with k of the n samples. The value is the exact
    mean over all subsets of k samples, so it is the unbiased estimate of the chance for k fresh samples. Of answers
    with equally many votes each wins with the same chance, as it does where the first one seen wins. A subset without
    any answer fails.

    An answer is right to the extent that the samples that give it count: the value is the chance that a sample that
    gives the majority's answer counts. By the verdict `correct` that is 0 or 1, unless one text of an answer was graded
    in two ways. By a verdict on the way to an answer, such as `sound`, it is the share of the answer's samples of which
    the verdict is true. maj@1 is Pass@1 by the same verdict, where every sample that counts has an answer.

    Args:
        samples: columns problem_id, extracted, correct (the verdict that counts: `Run.outcomes`); one row a sample.
        ks: the columns.

    Returns:
        One row a problem, one column a k; `interval` and `comparison` take it.

    Raises:
        InputError: no sample, no k, a k that is not whole or below 1, a problem with fewer than max(ks) samples, which
            is named, or with more than `MOST_SAMPLES`.
    """
    if samples.empty or not len(ks):
        raise InputError("maj@k needs at least 1 sample and 1 k")
    ks = whole("k", list(ks)).tolist()
    if min(ks) < 1:
        raise InputError(f"k must be at least 1, not {min(ks)}")
    by_problem = samples.groupby("problem_id", sort=False, observed=True)
    sizes = by_problem.size()
    if sizes.min() < max(ks):
        raise too_few("maj", max(ks), repr(sizes.idxmin()), sizes.min())
    if sizes.max() > MOST_SAMPLES:
        raise InputError(f"maj@k takes up to {MOST_SAMPLES} samples of a problem; {sizes.idxmax()!r} has {sizes.max()}")
    rows = {problem_id: _right_majority(_ballot(group), ks) for problem_id, group in by_problem}
    columns = pd.Index(ks, name="k")
    return pd.DataFrame.from_dict(rows, orient="index").set_axis(columns, axis=1).rename_axis("problem_id")


def answer_entropy_table(samples: pd.DataFrame) -> pd.DataFrame:
    """The entropy of the answers of each problem's samples, in nats.

    -sum of p log p over the distinct answers, p the share of the samples that give it; samples without an answer are
    one more answer together. The plain (plug-in) estimate: it is at most log n and grows with n, so compare it at one
    n. "Answer-distribution entropy" of Olausson et al. 2026 (arXiv:2604.09921), "parsed-answer entropy" of the
    pre-registered replication of arXiv:2601.15165.

    Args:
        samples: columns problem_id, extracted; one row a sample.

    Returns:
        One row a problem, one column answer_entropy; `interval` and `comparison` take it.

    Raises:
        InputError: no sample.
    """
    if samples.empty:
        raise InputError("there is no answer to take the entropy of; sample at least one")
    by_problem = samples.groupby("problem_id", sort=False, observed=True)["extracted"]
    entropies = {problem_id: _entropy(answers.value_counts(dropna=False)) for problem_id, answers in by_problem}
    index = pd.Index(entropies, name="problem_id")
    return pd.DataFrame({"answer_entropy": list(entropies.values())}, index=index)


def _entropy(counts: pd.Series[int]) -> float:
    share = counts.to_numpy(dtype=np.float64) / counts.sum()
    return max(0.0, -float(share @ np.log(share)))


@dataclass(frozen=True, kw_only=True)
class _Ballot:
    """The votes of one problem's samples."""

    votes_A: Counts
    """Samples that give each answer."""
    right_A: Floats
    """The share of them that is graded correct."""
    silent: int
    """Samples without an answer."""

    @property
    def samples(self) -> int:
        return int(self.votes_A.sum()) + self.silent


def _ballot(samples: pd.DataFrame) -> _Ballot:
    by_answer = samples.groupby("extracted", sort=False)["correct"]
    return _Ballot(
        votes_A=np.asarray(by_answer.size(), dtype=np.int64),
        right_A=by_answer.mean().to_numpy(np.float64),
        silent=int(samples["extracted"].isna().sum()),
    )


def _right_majority(ballot: _Ballot, ks: Sequence[int]) -> Floats:
    """The chance at each k, by counting subsets: how many of them an answer wins, over how many there are.

    Numbers of subsets are in units of 2^samples, which keeps them within float64.
    """
    most = max(ks)
    won_K = np.zeros(most + 1)
    # Answers with equally many samples win equally many subsets.
    for total in np.unique(ballot.votes_A[ballot.right_A > 0]).tolist():
        right = float(ballot.right_A[ballot.votes_A == total].sum())
        others_A = np.delete(ballot.votes_A, np.flatnonzero(ballot.votes_A == total)[0])
        chosen_K = _choices(total, min(total, most))
        for votes in range(1, len(chosen_K)):
            won_K[votes:] += right * chosen_K[votes] * _not_ahead(others_A, ballot.silent, votes, most - votes)
    all_K = [math.comb(ballot.samples, k) / 2**ballot.samples for k in ks]
    # Rounding may leave the ratio an ulp outside.
    return np.array([min(1.0, won_K[k] / subsets) for k, subsets in zip(ks, all_K, strict=True)])


def _not_ahead(others_A: Counts, silent: int, votes: int, most: int) -> Floats:
    """The subsets of the other samples, by size 0..most, in which no other answer has more than `votes` votes; each
    counts 1 / (1 + the number of answers that have as many).
    """
    # Those with fewer votes in all can neither win nor tie: any number of them may be in the subset.
    harmless = int(others_A[others_A < votes].sum()) + silent
    subsets_TK = _choices(harmless, most)[None]
    for total in others_A[others_A >= votes].tolist():
        chosen_K = _choices(total, votes)
        ties = subsets_TK.shape[0]
        grown_TK = np.zeros((ties + 1, most + 1))
        for number in range(min(votes, most + 1)):
            grown_TK[:ties, number:] += chosen_K[number] * subsets_TK[:, : most + 1 - number]
        if votes <= most:
            grown_TK[1:, votes:] += chosen_K[votes] * subsets_TK[:, : most + 1 - votes]
        # No more can tie than have a place in the subset.
        subsets_TK = grown_TK[: most // votes + 1]
    weighted_K: Floats = (1 / (1 + np.arange(subsets_TK.shape[0]))) @ subsets_TK
    return weighted_K


def _choices(total: int, most: int) -> Floats:
    """In how many ways 0..most samples are chosen from `total`, in units of 2^total."""
    return np.array([math.comb(total, number) / 2**total for number in range(most + 1)])
