"""Where, over growing block lengths, the coverage of arbitrary order is lost: from each length to the next one.

The protocol that the pre-registered replication of arXiv:2601.15165 announced for block lengths 1, 2, 4 and 8: all
adjacent contrasts of CoverageAUC are judged by one simultaneous band, and what each outcome is taken to mean is fixed
before there are data (`READINGS`).
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

import pandas as pd

from flexeval.errors import InputError
from flexeval.stats.bootstrap import DEFAULT, Bootstrap
from flexeval.stats.curves import comparison
from flexeval.stats.pass_at_k import coverage_auc

AUC_KS = (4, 8, 16, 32, 64)
"""The replication's grid of CoverageAUC; of fewer samples as far as they go (`auc_ks`)."""
AT_FIRST, LATE, DISTRIBUTED, NOWHERE = "onset at the first choice", "late onset", "distributed", "not localised"
READINGS: Mapping[tuple[bool, bool], str] = {
    (True, False): AT_FIRST,
    (False, True): LATE,
    (True, True): DISTRIBUTED,
    (False, False): NOWHERE,
}
"""(there is a loss at the first step, there is one at a later step) -> how that is read. A loss is a difference that is
*above* by the rule of `flexeval.stats.verdict`; one that is unresolved is not taken for none:

- onset at the first choice: as soon as the sampler has any choice of position, from block 1 to 2, coverage is lost, and
  no later step is shown to lose more;
- late onset: only from one of the later steps on;
- distributed: at the first step and at a later one: a dose rather than a threshold;
- not localised: no step by itself, whatever the sum of all is.
"""


def auc_ks(n: int) -> list[int]:
    """The grid of CoverageAUC that n samples of each problem allow; n alone where there are fewer than 4."""
    return [k for k in AUC_KS if k <= n] or [n]


def adjacent_losses(
    counts: Mapping[int, pd.DataFrame],
    ks: Sequence[int],
    *,
    tasks: Sequence[Hashable] | None = None,
    bootstrap: Bootstrap = DEFAULT,
) -> pd.DataFrame:
    """CoverageAUC at each block length minus that at the next longer one, with one band over all of them.

    Args:
        counts: block length -> columns problem_id, n, c; the same problems at every length.
        ks: the grid of CoverageAUC.
        tasks: the task of each row of the shortest block; problems are resampled within their task, and tasks count
            equally. None when all are of one task.
        bootstrap: level, replicates and seed.

    Returns:
        One row a step: shorter, longer, difference (a fraction; positive is a loss), low, high (its interval),
        band_low, band_high (simultaneous over all steps), p_value (sign-flip test), verdict (of the band), reading (of
        all steps together; empty with a single one).

    Raises:
        InputError: fewer than two block lengths, other problems, or a problem with fewer than max(ks) samples.
    """
    if len(counts) < 2:
        raise InputError(f"a loss between block lengths needs two or more, not {len(counts)}")
    lengths = sorted(counts)
    areas = pd.concat({length: coverage_auc(counts[length], ks)["coverage_auc"] for length in lengths}, axis=1)
    # In the order of the shortest block, which that of `tasks` is.
    areas = areas.reindex(pd.Index(counts[lengths[0]]["problem_id"], name="problem_id"))
    shorter, longer = areas[lengths[:-1]], areas[lengths[1:]].set_axis(lengths[:-1], axis=1)
    table = comparison(shorter, longer, tasks=tasks, largest=1.0, bootstrap=bootstrap)
    columns = ["difference", "low", "high", "band_low", "band_high", "p_value", "verdict"]
    losses = table[columns].assign(reading=_reading(list(table["verdict"])))
    losses.insert(0, "shorter", lengths[:-1])
    losses.insert(1, "longer", lengths[1:])
    return losses


def _reading(verdicts: Sequence[str]) -> str:
    first, *later = (verdict == "above" for verdict in verdicts)
    return READINGS[first, any(later)] if later else ""
