"""The driver's side: workers that draw and grade what it hands out, and that are replaced when they die.

One call of a worker's `draw` is one of Ray's streaming generators: samples come back while it draws on, and it waits
where the driver does not keep up, so the driver holds no more than what is on its way to the disk.
"""

from __future__ import annotations

import dataclasses
import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Any, Self

from flexeval.errors import InputError, one_line
from flexeval.records import Grade, Problem, RunConfig
from flexeval.runs.filling import fill
from flexeval.runs.identity import CODES, canonical_config
from flexeval.runs.layout import GradedSample, SampleKey, StoredProblem
from flexeval.runs.run import Run
from flexeval.runs.shards import WHOLE, Shard
from flexeval.runs.storage import Finished, Progress
from flexeval.workers.cluster import connect, disconnect, import_ray
from flexeval.workers.packages import TRIES, Package, Packages, groups
from flexeval.workers.worker import Chunk, Machine, Opened, Worker, versions

UNREAD_CHUNKS = 2
"""Chunks that a worker may be ahead of the driver."""
PATIENCE = 60.0
"""Seconds until it is said that no worker is ready yet."""
GRADED_TOGETHER = 256
"""Texts that go to a worker at once."""
_INHERITED = ("FLEXEVAL_", "HF_")
"""Settings in the driver's environment that workers get, too."""
_PROCESSES = "processes"
"""In the environment of a sample: how many workers its run had."""


@dataclass(eq=False, kw_only=True)
class _Member:
    """A worker, and what it does."""

    actor: Any
    host: str = ""
    """Empty until it has answered."""
    pid: int = 0
    opened: Opened | None = None
    """The run that it is ready for."""
    package: Package | None = None

    def meet(self, about: Mapping[str, Any]) -> None:
        """It has said what it is. Raises InputError where it cannot work with this process."""
        self.host, self.pid = about["host"], about["pid"]
        ours = versions()
        for package, theirs in about["versions"].items():
            if theirs != ours.get(package):
                raise InputError(
                    f"the worker on {self.host} has {package} {theirs}, and this process has {package} "
                    f"{ours.get(package)}; install the same on every machine"
                )


class _Death(Exception):
    """A worker is gone."""


class Crew:
    """Workers, for the runs of one command. Use it in a `with` block, or `close` it."""

    def __init__(
        self,
        workers: int,
        *,
        address: str | None = None,
        machine: Machine | None = None,
        say: Callable[[str], None] | None = None,
    ) -> None:
        """
        Args:
            workers: how many; each has a GPU of its own where there are GPUs, else its share of the processors.
            address: `auto` or HOST:PORT of a Ray cluster that runs already; None starts Ray on this machine.
            machine: how they load models and data.
            say: told in a line of what happens to workers.

        Raises:
            InputError: as `flexeval.workers.cluster.connect`.
        """
        machine = machine or Machine()
        if machine.data_dir is not None:
            machine = dataclasses.replace(machine, data_dir=machine.data_dir.absolute())
        begun = import_ray().is_initialized()
        self._machine, self._say = machine, say or (lambda _: None)
        self._ray, self._share = connect(address, workers=workers, cpu=machine.device == "cpu")
        self._ours = not begun
        self.members = [self._hired() for _ in range(workers)]
        """Those that are left; fewer than asked for where one could not be replaced."""
        self._died_starting = 0
        """Workers that died in a row before they could work."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close(error)

    def close(self, error: BaseException | None = None) -> None:
        """End the workers, and Ray where it was begun for them.

        Args:
            error: why, if something went wrong; it may hold answers of Ray's.
        """
        for member in self.members:
            self._ray.kill(member.actor)
        self.members = []
        if self._ours:
            disconnect(self._ray, error)

    # ----- runs -----

    def run(
        self,
        config: RunConfig,
        *,
        out: Path,
        shard: Shard = WHOLE,
        progress: Callable[[Progress], None] | None = None,
    ) -> Run:
        """Sample, grade and store what a run folder lacks; as `flexeval.runs.runner.run`.

        Raises:
            InputError: as there; more workers than groups of samples; workers with other versions, models or data;
                samples that were given up, after all others are stored; a crew that is closed.
        """
        self._require_open()
        config = canonical_config(config)
        source = _Source(self, config)
        shard.require_problems(len(source.problems))
        have = groups(len(shard.of(source.problems)), config.num_samples, source.batch_size)
        if have < len(self.members):
            raise InputError(
                f"{len(self.members)} workers are more than this run has work for: the samples of a problem stay "
                f"together, and there are {have} such groups; use --workers {have}"
            )
        return fill(config, out=out, source=source, shard=shard, progress=progress)

    # ----- grading -----

    def grade(
        self,
        task: str,
        texts: Sequence[tuple[Problem, str]],
        *,
        published: bool = False,
        progress: Callable[[int, int], None] | None = None,
    ) -> tuple[list[Grade], list[str]]:
        """Verdicts on texts, in their order, and what isolated programs of the task, each kind once.

        Args:
            task: its spec.
            texts: each with its problem.
            published: by the rules of published numbers.
            progress: called with the texts done and the texts in all.

        Raises:
            InputError: what a worker refuses, texts with which one worker after another died, workers that die one
                after another as they start, or a crew that is closed.
        """
        self._require_open()
        starts = deque(range(0, len(texts), GRADED_TOGETHER))
        deaths = dict.fromkeys(starts, 0)
        self._died_starting = 0
        # What Ray waits for -> whose it is, and the texts that it grades; None while it starts.
        idle, busy = list(self.members), dict[Any, tuple[_Member, int | None]]()
        grades: dict[int, list[Grade]] = {}
        isolations: dict[str, None] = {}
        report = progress or (lambda _done, _all: None)
        # Whoever still starts when nothing is left to hand out is not waited for.
        while starts or any(start is not None for _, start in busy.values()):
            report(sum(map(len, grades.values())), len(texts))
            while starts and idle:
                member = idle.pop()
                if not member.host:
                    busy[member.actor.about.remote()] = member, None
                    continue
                start = starts.popleft()
                part = list(texts[start : start + GRADED_TOGETHER])
                busy[member.actor.grade.remote(task, part, published)] = member, start
            (answer, *_), _ = self._ray.wait(list(busy), num_returns=1)
            member, at = busy.pop(answer)
            try:
                if at is None:
                    member.meet(self._got(answer, member))
                    self._died_starting = 0
                else:
                    grades[at], isolation = self._got(answer, member)
                    isolations |= {isolation: None} if isolation else {}
            except _Death as death:
                if at is None:
                    idle += self._started_again(member, death, "started")
                    continue
                deaths[at] += 1
                if deaths[at] == TRIES:
                    raise InputError(
                        f"{TRIES} workers died while they graded texts {at} to "
                        f"{min(at + GRADED_TOGETHER, len(texts)) - 1} ({death}); nothing was changed"
                    ) from None
                starts.append(at)
                member = self._replaced(member, death, "its texts are graded again")
            idle.append(member)
        return [grade for start in sorted(grades) for grade in grades[start]], list(isolations)

    # ----- workers -----

    def _require_open(self) -> None:
        # Nothing would ever be ready, and to wait for it would take for ever.
        if not self.members:
            raise InputError("this crew is closed and has no workers any more; make another Crew")

    def _hired(self) -> _Member:
        settings = {
            name: value for name, value in os.environ.items() if name.startswith(_INHERITED) and "TOKEN" not in name
        }
        # A list has a number for each level of nesting; what is no number says nothing.
        asked = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
        threads = str(max(1, min(int(asked) if asked.isdecimal() else self._share.processors, self._share.processors)))
        actor = self._ray.remote(
            num_cpus=self._share.processors,
            num_gpus=self._share.gpus,
            max_restarts=0,
            scheduling_strategy="SPREAD",
            runtime_env={"env_vars": {**settings, "OMP_NUM_THREADS": threads}},
        )(Worker)
        return _Member(actor=actor.remote(self._machine, self._share.processors))

    def _got(self, answer: Any, member: _Member) -> Any:
        """What a worker answered. Raises what it raised, and `_Death` where it is gone."""
        errors = self._ray.exceptions
        try:
            return self._ray.get(answer)
        except errors.RayTaskError as error:
            cause = error.cause
            if not isinstance(cause, Exception):
                raise
            if not isinstance(cause, InputError):
                raise cause from error
            several = len({one.host for one in self.members}) > 1
            raise (InputError(f"on {member.host}: {cause}") if several else cause) from None
        except errors.RayError as error:
            raise _Death(_reason(error)) from None

    def _replaced(self, member: _Member, death: _Death, then: str) -> _Member:
        """Another worker in the place of one that died."""
        self._say(f"a worker{f' on {member.host}' if member.host else ''} died ({death}); {then}")
        self._ray.kill(member.actor)
        hired = self._hired()
        self.members[self.members.index(member)] = hired
        return hired

    def _started_again(self, member: _Member, death: _Death, doing: str) -> list[_Member]:
        """Another worker in the place of one that died before it could work; none after several such deaths in a row.

        Raises:
            InputError: none is left.
        """
        self._died_starting += 1
        if self._died_starting < TRIES:
            return [self._replaced(member, death, "another one is started")]
        if len(self.members) == 1:
            raise InputError(f"{TRIES} workers died while they {doing}: {death}")
        self._say(f"{TRIES} workers died while they {doing} ({death}); the others go on")
        self.members.remove(member)
        self._died_starting = 0
        return []


class _Source:
    """A crew as the source of a run's samples; see `flexeval.runs.filling.Source`."""

    longest_first = True

    def __init__(self, crew: Crew, config: RunConfig) -> None:
        """Have all workers open the run, and wait for the first. Raises InputError as `flexeval.workers.Crew.run`."""
        self._crew, self._config = crew, config
        self._ray = crew._ray
        self._waiting: dict[Any, _Member] = {}
        """What Ray waits for -> whose it is: the answer to `open`, or the stream of `draw`."""
        self._idle: list[_Member] = []
        self._first: Opened | None = None
        crew._died_starting = 0
        for member in crew.members:
            self._open(member)
        first = self._ready_first()
        self.problems: Sequence[StoredProblem] = first.problems
        self.record: Mapping[str, Any] = {**first.record, "environment": self._environment(first)}
        self.batch_size: int = self.record["environment"]["batch_size"]

    def forecast(self, missing: int) -> float | None:
        """See `flexeval.runs.filling.Source`: as the first worker has it, shared among all."""
        member = self._idle[0]
        try:
            seconds: float | None = self._crew._got(member.actor.forecast.remote(missing), member)
        except _Death:
            return None  # found again when it is to draw
        return None if seconds is None else seconds / len(self._crew.members)

    def draw(self, keys: Iterator[SampleKey], missing: int, take: Callable[[Finished], None]) -> None:
        """See `flexeval.runs.filling.Source`."""
        packages = Packages(keys=keys, missing=missing, size=self.batch_size, workers=len(self._crew.members))
        clock = _Clock()

        def store(member: _Member, chunk: Chunk) -> None:
            assert member.opened is not None and member.package is not None
            environment, seconds = self._environment(member.opened), clock.lap()
            for sample, effort in chunk.samples:
                member.package.delivered((sample.trajectory.problem_id, sample.trajectory.sample_index))
                effort = dataclasses.replace(effort, seconds=seconds / len(chunk.samples))
                take(Finished(sample=_done(sample), effort=effort, environment=environment, gpu=chunk.gpu))

        try:
            # Whoever is still loading when nothing is left to hand out is not waited for.
            while packages.left() or any(member.package for member in self._waiting.values()):
                while self._idle and (package := packages.pop()):
                    self._begin(self._idle.pop(), package)
                self._advance(packages, store)
        except KeyboardInterrupt:
            # What has arrived is finished.
            while self._waiting and self._advance(packages, store, patience=0.0):
                pass
            raise
        finally:
            self._release()
        if packages.given_up:
            samples = sum(len(group.keys) for group in packages.given_up)
            raise InputError(
                f"{samples} samples were given up, since {TRIES} workers died with them: "
                f"{'; '.join(map(str, packages.given_up[:3]))}; all others are stored, and the same command tries again"
            )

    def _advance(self, packages: Packages | None, store: Callable[..., None], patience: float | None = None) -> bool:
        """Wait until something happens to a worker, and answer it. False where nothing happened."""
        ready, _ = self._ray.wait(list(self._waiting), num_returns=1, timeout=patience)
        if not ready:
            return False
        member = self._waiting.pop(ready[0])
        try:
            if member.package is not None:
                self._streamed(member, ready[0], store)
            elif not member.host:
                member.meet(self._crew._got(ready[0], member))
                self._open(member)
            else:
                self._ready(member, self._crew._got(ready[0], member))
        except _Death as death:
            self._buried(member, death, packages)
        return True

    # ----- what a worker does -----

    def _ready_first(self) -> Opened:
        """Wait until one of the workers has loaded."""
        told = False
        while self._first is None:
            if not self._advance(None, lambda _: None, patience=PATIENCE) and not told:
                self._crew._say("workers are not ready yet: they load the model, or wait for room in the Ray cluster")
                told = True
        return self._first

    def _open(self, member: _Member) -> None:
        # Whoever raised an error has still the package of the run that it ended.
        member.opened = member.package = None
        answer = member.actor.open.remote(self._config) if member.host else member.actor.about.remote()
        self._waiting[answer] = member

    def _ready(self, member: _Member, opened: Opened) -> None:
        """A worker has loaded. Raises InputError where it would draw something else than the first one."""
        first = self._first = self._first or opened
        for what, ours, theirs in (
            ("data or prompts", first.problems, opened.problems),
            *(
                (f"code of its {what}", *(one.record.get(name) for one in (first, opened)))
                for name, (what, _) in CODES.items()
            ),
            # Before the weights, whose checksum it changes.
            ("dtype", *(one.record["environment"]["dtype"] for one in (first, opened))),
            *(
                (part, *(one.record["model"][part] for one in (first, opened)))
                for part in ("weights", "network", "vocabulary")
            ),
        ):
            if ours != theirs:
                raise InputError(
                    f"the worker on {member.host} has another {what} than the first one; give all machines the same "
                    "files, and --dtype"
                )
        member.opened = opened
        self._crew._died_starting = 0
        self._idle.append(member)

    def _begin(self, member: _Member, package: Package) -> None:
        member.package = package
        draw = member.actor.draw.options(num_returns="streaming", _generator_backpressure_num_objects=UNREAD_CHUNKS)
        self._waiting[draw.remote(list(package.keys))] = member

    def _streamed(self, member: _Member, stream: Any, store: Callable[..., None]) -> None:
        """The next samples of a package, or its end."""
        try:
            answer = next(stream)
        except StopIteration:
            member.package = None
            self._idle.append(member)
            return
        chunk = self._crew._got(answer, member)
        self._waiting[stream] = member
        store(member, chunk)

    def _buried(self, member: _Member, death: _Death, packages: Packages | None) -> None:
        """Replace a worker that died, and hand its samples out again."""
        if member.package is None:
            for hired in self._crew._started_again(member, death, f"loaded {self._config.model!r}"):
                self._open(hired)
            return
        assert packages is not None  # nobody has a package before packages are handed out
        again = packages.give_back(member.package, str(death))
        self._open(self._crew._replaced(member, death, f"{again} samples that it had begun are drawn again"))

    def _release(self) -> None:
        """Leave no worker with a package that nobody waits for: it would draw on before the next run."""
        for member in self._waiting.values():
            if member.package is not None:
                self._crew._ray.kill(member.actor)
                self._crew.members[self._crew.members.index(member)] = self._crew._hired()
        self._waiting.clear()

    def _environment(self, opened: Opened) -> dict[str, Any]:
        return {**opened.record["environment"], _PROCESSES: len(self._crew.members)}


class _Clock:
    """Wall-clock time since the last look."""

    def __init__(self) -> None:
        self._last = monotonic()

    def lap(self) -> float:
        """Seconds."""
        before, self._last = self._last, monotonic()
        return self._last - before


def _done(sample: GradedSample) -> Future[GradedSample]:
    graded: Future[GradedSample] = Future()
    graded.set_result(sample)
    return graded


def _reason(error: Exception) -> str:
    """The sentence of Ray's message that says why a worker is gone."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = next((line for line in lines if "Worker exit detail:" in line), None)
    if told is not None:
        return one_line(told.partition("Worker exit detail:")[2].split(". ")[0].strip() + "").rstrip(".")
    return one_line(lines[-1] if lines else type(error).__name__).rstrip(".")
