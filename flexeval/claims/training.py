"""The paper's second half: GRPO with rollouts in AR order raises accuracy, and parallel decoding keeps the gain.

Each claim compares a model with the checkpoints that flexeval trained from it (`Group.trained`), with the same sampling
settings. The docstrings say what the sources report of their own trainings. The table does not, since numbers of
another training are not comparable.
"""

from __future__ import annotations

from collections.abc import Sequence

from flexeval.claims.claim import Claim, Measured
from flexeval.claims.pass_at_k import NOT_WORSE, pass_at_k_gap
from flexeval.claims.selection import Checkpoint, Group, largest_k
from flexeval.claims.verdict import NO_EVIDENCE, judge
from flexeval.claims.wording import coverage_points, percent, points, setting
from flexeval.errors import InputError
from flexeval.orders import get_order
from flexeval.runs.store import Run, alike
from flexeval.stats.bootstrap import interval
from flexeval.stats.intervals import Interval
from flexeval.stats.nfe import tokens_per_step
from flexeval.stats.pass_at_k import pass_at_k_table

TIME_TOLERANCE = 0.25
"""Training times count as equal up to this share of the exact training's."""


class TrainingClaim(Claim):
    """A claim about what training does to a model."""

    lacking = (
        "no run of a model that flexeval trained; `flexeval reproduce --preset forks-grpo` trains and samples some"
    )

    def concerns(self, group: Group) -> bool:
        """Models that were trained, on whatever task."""
        return bool(group.trained)

    def _parts(self, group: Group) -> Sequence[Group]:
        """Each training by itself: another seed is no more problems, and another recipe another question."""
        return group.by_training()


def of_kind(group: Group, rollout_order: str, *, fast: bool = False) -> list[Checkpoint]:
    """The checkpoints of trainings with rollouts in this order, by the rollouts drawn until then.

    Raises:
        InputError: there is none.
    """
    found = [
        checkpoint
        for checkpoint in group.trained
        if checkpoint.lineage.rollout_order == rollout_order and checkpoint.lineage.fast == fast
    ]
    if not found:
        raise InputError(f"needs runs of a model trained with rollouts in order {rollout_order}{' and fast' * fast}")
    return sorted(found, key=lambda checkpoint: (checkpoint.lineage.samples, checkpoint.model))


def paced_runs(group: Group) -> dict[str, Run]:
    """Order -> run, for the adaptive orders, which decide how many positions a step commits."""
    orders = dict.fromkeys(run.config.order for run in group.runs if get_order(run.config.order).own_pace)
    found = {order: group.lookup(order) for order in orders}
    return {order: run for order, run in found.items() if run is not None}


class GrpoRaisesAccuracy(TrainingClaim):
    """Pass@1 of `ar` at the last checkpoint of the training with AR-order rollouts minus that of the model before it,
    paired by problem. Holds when the interval lies above 0. The same under `confidence` is given beside it.

    The paper: GSM8K from 78.6 to 89.1 % (Table 5).
    """

    name = "grpo-raises-accuracy"
    sentence = "GRPO with rollouts in AR order raises accuracy."
    source = "arXiv:2601.15165, Tables 1 and 5"

    def measure(self, group: Group) -> Measured:
        """See the class."""
        checkpoint = of_kind(group, "ar")[-1]
        after, before = alike(checkpoint.find("ar"), group.find("ar"))
        gap = pass_at_k_gap(after, before, 1)
        later, earlier = checkpoint.lookup("confidence"), group.lookup("confidence")
        beside = f", under confidence {points(_gap_at_one(later, earlier))}" if later and earlier else ""
        return Measured(
            interval=gap,
            judgement=judge(gap, above=0),
            words=f"Pass@1, {checkpoint.model} minus {group.model}: under ar {points(gap)}{beside}; {setting(after)}",
        )


class GainSurvivesParallelDecoding(TrainingClaim):
    """Pass@1 at the last checkpoint of the training with AR-order rollouts minus that of the model before it, under
    each order that commits several tokens a step and that both have a run of, paired by problem. Holds when the
    interval lies above 0 under the order by which the model before commits most tokens a step.

    The paper: MBPP +10.6 points at 1 token a step, +25.5 at about 5.
    """

    name = "gain-survives-parallel-decoding"
    sentence = "The gain of training in AR order survives parallel decoding."
    source = "arXiv:2601.15165, Figure 8"

    def measure(self, group: Group) -> Measured:
        """See the class."""
        checkpoint = of_kind(group, "ar")[-1]
        before, after = paced_runs(group), paced_runs(checkpoint)
        orders = [order for order in before if order in after]
        if not orders:
            raise InputError(
                f"needs runs of {group.model} and {checkpoint.model} in one order of several tokens a step, such as "
                f"parallel-4 or eb:gamma=0.5, at T = {group.temperature:g}, block {group.block}"
            )
        pace = {order: _tokens_per_step(before[order]) for order in orders}
        *slower, fastest = sorted(orders, key=pace.__getitem__)
        gaps = {order: _gap_at_one(after[order], before[order]) for order in orders}
        listed = "".join(f"; {100 * gaps[one].estimate:+.1f} at {pace[one]:.1f} ({one})" for one in slower)
        return Measured(
            interval=gaps[fastest],
            judgement=judge(gaps[fastest], above=0),
            words=f"Pass@1, {checkpoint.model} minus {group.model}: {points(gaps[fastest])} at {pace[fastest]:.1f} "
            f"tokens a step ({fastest}){listed}; {setting(alike(after[fastest], before[fastest])[0])}",
        )


class CeilingDoesNotRise(TrainingClaim):
    """Pass@k of `ar` at the last checkpoint of the training with AR-order rollouts minus that of the model before it,
    at the largest k that both have samples for, paired by problem. Holds when the interval lies below plus three points
    (`NOT_WORSE`): no gain must be shown, like "not worse". Unresolved where the model before leaves less than that to
    gain.

    The source, of autoregressive models: those trained by reinforcement are ahead at k = 1, their bases at large k.
    """

    name = "ceiling-does-not-rise"
    sentence = "Training does not raise the ceiling: with many tries, the model before it solves as much."
    source = "arXiv:2504.13837"

    def measure(self, group: Group) -> Measured:
        """See the class."""
        checkpoint = of_kind(group, "ar")[-1]
        after, before = alike(checkpoint.find("ar"), group.find("ar"))
        k = largest_k(after, before)
        gap = pass_at_k_gap(after, before, k)
        level = interval(pass_at_k_table(before.counts(), [k]))[k]
        has_room = 1 - level.estimate > NOT_WORSE
        return Measured(
            interval=gap,
            judgement=judge(gap, below=NOT_WORSE) if has_room else NO_EVIDENCE,
            words=f"Pass@{k} under ar, {checkpoint.model} minus {group.model}: {coverage_points(gap)}, margin "
            f"{100 * NOT_WORSE:g} points, before {percent(level)}; Pass@1 {points(pass_at_k_gap(after, before, 1))}; "
            f"{setting(after)}",
        )


class ArRolloutsTrainBetter(TrainingClaim):
    """Pass@1 of `ar` after training with AR-order rollouts minus the same after training with `random` ones, at the
    largest equal number of rollouts, paired by problem. Holds when the interval lies above 0. The same against
    `top_prob` rollouts is given beside it.

    The paper, GSM8K: `ar` 89.1 %, one fixed permutation 82.2 %; arXiv:2609.34509 has `egi` rollouts ahead of `ar`.
    """

    name = "ar-rollouts-train-better"
    sentence = "Rollouts in AR order train better than rollouts in random order."
    source = "arXiv:2601.15165, Table 5"

    def measure(self, group: Group) -> Measured:
        """See the class."""
        ordered = {one.lineage.samples: one for one in of_kind(group, "ar")}
        random = {one.lineage.samples: one for one in of_kind(group, "random")}
        equal = ordered.keys() & random.keys()
        if not equal:
            raise InputError("needs checkpoints of trainings with ar and random rollouts after equally many rollouts")
        drawn = max(equal)
        first, second = ordered[drawn], random[drawn]
        after, other = alike(first.find("ar"), second.find("ar"))
        gap = pass_at_k_gap(after, other, 1)
        beside = "".join(
            f", minus {one.model} (top_prob rollouts) {points(_gap_at_one(first.find('ar'), one.find('ar')))}"
            for one in group.trained
            if (one.lineage.rollout_order, one.lineage.fast, one.lineage.samples) == ("top_prob", False, drawn)
        )
        return Measured(
            interval=gap,
            judgement=judge(gap, above=0),
            words=f"Pass@1 under ar after {drawn} rollouts, {first.model} (ar rollouts) minus {second.model} (random "
            f"rollouts): {points(gap)}{beside}; {setting(after)}",
        )


class FastAtEqualTime(TrainingClaim):
    """Pass@1 of `ar` after training with AR-order rollouts that scores only the positions of highest entropy, minus
    the same after exact training: the last checkpoint of the exact one and that of the fast one whose training time is
    nearest to it, at most a quarter (`TIME_TOLERANCE`) away. Holds when the interval, paired by problem, lies above 0.

    The paper plots GSM8K over hours of training and states no values.
    """

    name = "fast-at-equal-time"
    sentence = "Scoring only the quarter of positions with the highest entropy trains further in the same time."
    source = "arXiv:2601.15165, Figure 9"

    def measure(self, group: Group) -> Measured:
        """See the class."""
        exact = of_kind(group, "ar")[-1]
        wanted = exact.lineage.seconds
        fast = min(of_kind(group, "ar", fast=True), key=lambda one: abs(one.lineage.seconds - wanted))
        if abs(fast.lineage.seconds - wanted) > TIME_TOLERANCE * wanted:
            raise InputError(
                f"needs a checkpoint of fast training after about {wanted:.0f} s, as long as {exact.model} took; the "
                f"nearest, {fast.model}, took {fast.lineage.seconds:.0f} s"
            )
        first, second = alike(fast.find("ar"), exact.find("ar"))
        gap = pass_at_k_gap(first, second, 1)
        return Measured(
            interval=gap,
            judgement=judge(gap, above=0),
            words=f"Pass@1 under ar, {_effort(fast)} minus {_effort(exact)}: {points(gap)}; {setting(first)}",
        )


def _gap_at_one(first: Run, second: Run) -> Interval:
    """Pass@1 of the first run minus that of the second, on what both have."""
    first, second = alike(first, second)
    return pass_at_k_gap(first, second, 1)


def _tokens_per_step(run: Run) -> float:
    return tokens_per_step(run.token_parts(["problem_id"]), run.samples).estimate


def _effort(checkpoint: Checkpoint) -> str:
    return f"{checkpoint.model} ({checkpoint.lineage.samples} rollouts in {checkpoint.lineage.seconds:.0f} s)"
