"""What the driver does about its workers, with a stand-in for Ray that runs them in this process and kills them."""

from __future__ import annotations

import random
from types import SimpleNamespace

import pytest
from runs_fakes import CONFIG, FakePredictor, FakeSampler, FakeTask, extended, make

from flexeval.errors import InputError
from flexeval.runs import runner, storage
from flexeval.runs.runner import Here
from flexeval.runs.store import read_run
from flexeval.workers import crew as crew_module
from flexeval.workers import worker
from flexeval.workers.cluster import Share
from flexeval.workers.crew import Crew

SHARE = Share(gpus=0, processors=1)


class RayError(Exception):
    pass


class RayTaskError(RayError):
    def __init__(self, cause):
        self.cause = cause


class FakeRay:
    """Answers are computed when they are asked for; which of several is ready, chance decides."""

    exceptions = SimpleNamespace(RayError=RayError, RayTaskError=RayTaskError)

    def __init__(self, dies=lambda actor, method, args: False, seed=0):
        self.dies = dies
        self.rng = random.Random(seed)
        self.actors = []

    def is_initialized(self):
        return True

    def remote(self, **options):
        def factory(cls):
            return SimpleNamespace(remote=lambda *args: self._actor(cls(*args)))

        return factory

    def _actor(self, made):
        actor = FakeActor(self, made, len(self.actors))
        self.actors.append(actor)
        return actor

    def wait(self, waitables, num_returns=1, timeout=None):
        assert num_returns == 1 and waitables
        ready = self.rng.choice(waitables) if timeout != 0 or self.rng.random() < 0.9 else None
        return ([ready], None) if ready is not None else ([], None)

    def get(self, answer):
        return answer()

    def kill(self, actor):
        actor.die()


class FakeActor:
    def __init__(self, ray, made, number):
        self.ray, self.made, self.number, self.dead = ray, made, number, False
        self.streams = []

    def __getattr__(self, name):
        def call(*args):
            def answer():
                self.die_if_due(name, args)
                try:
                    return getattr(self.made, name)(*args)
                except Exception as error:
                    raise RayTaskError(error) from None

            return answer

        def stream(*args):
            return FakeStream(self, getattr(self.made, name), args)

        return SimpleNamespace(remote=call, options=lambda **_: SimpleNamespace(remote=stream))

    def die(self):
        """With a process go its threads: a generator left to the collector would end its pool in any thread."""
        self.dead = True
        for stream in self.streams:
            stream.chunks.close()

    def die_if_due(self, name, args):
        if self.dead or self.ray.dies(self, name, args):
            self.die()
            raise RayError("The actor died.\nWorker exit detail: killed. Some common causes")


class FakeStream:
    def __init__(self, actor, method, args):
        self.actor, self.args, self.chunks = actor, args, method(*args)
        actor.streams.append(self)

    def __next__(self):
        try:
            self.actor.die_if_due("draw", self.args)
            chunk = next(self.chunks)
        except RayError as error:
            raised = error
        except StopIteration:
            raise
        except Exception as error:
            raised = RayTaskError(error)
        else:
            return lambda: chunk

        def fail():
            raise raised

        return fail


@pytest.fixture(autouse=True)
def _fakes(monkeypatch):
    """Workers with the fake model, sampler and task."""
    monkeypatch.setattr(runner, "environment", lambda **about: about)
    monkeypatch.setattr(storage, "FLUSH_SAMPLES", 2)
    monkeypatch.setattr(worker, "CHUNK_SAMPLES", 1)
    monkeypatch.setattr(worker, "use_at_most", lambda count: None)
    monkeypatch.setattr(worker.Worker, "_here", lambda self, config: here(config))
    monkeypatch.setattr(worker.Worker, "_task", lambda self, spec: FakeTask())


def here(config, **predictor):
    return Here(config, predictor=FakePredictor(**predictor), task=FakeTask(), batch_size=2, make_sampler=FakeSampler)


@pytest.fixture
def hire(monkeypatch):
    """Make a crew of workers in a fake Ray."""

    rays = []

    def crew(workers, ray=None, **options):
        ray = ray or FakeRay()
        rays.append(ray)
        monkeypatch.setattr(crew_module, "import_ray", lambda: ray)
        monkeypatch.setattr(crew_module, "connect", lambda *_, **__: (ray, SHARE))
        return Crew(workers, **options)

    yield crew
    for ray in rays:
        for actor in ray.actors:
            actor.die()


@pytest.fixture
def alone(tmp_path):
    return make(CONFIG, tmp_path / "alone")


def same(run, alone):
    assert run.complete and (run.folder / "summary.json").exists()
    for name in ("problems.jsonl", "samples.jsonl"):
        assert (run.folder / name).read_bytes() == (alone.folder / name).read_bytes()
    assert run.tokens().equals(alone.tokens())


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_any_number_of_workers_makes_the_same_run(tmp_path, hire, alone, workers):
    seen = []
    with hire(workers) as crew:
        run = crew.run(CONFIG, out=tmp_path / "run", progress=seen.append)
    same(run, alone)
    assert run.effort.samples == 12 and run.effort.evaluations == alone.effort.evaluations
    assert [environment["processes"] for environment in run.environments] == [workers]
    assert [p.done for p in seen] == list(range(13))


@pytest.mark.parametrize("seed", range(20))
def test_a_run_survives_the_deaths_of_its_workers(tmp_path, hire, alone, seed):
    rng = random.Random(seed)
    said = []
    left = iter(range(5))
    ray = FakeRay(lambda *_: rng.random() < 0.25 and next(left, None) is not None, seed=seed)
    with hire(3, ray, say=said.append) as crew:
        # Within the bounded number of tries for one group, which five deaths can exhaust.
        try:
            run = crew.run(CONFIG, out=tmp_path / "run")
        except InputError as error:
            assert "given up" in str(error) or "workers died while they loaded" in str(error)
            run = crew.run(CONFIG, out=tmp_path / "run")
    same(run, alone)
    assert all("died (killed)" in line or "go on" in line for line in said)


def test_a_group_that_kills_its_workers_is_reported_and_all_others_are_kept(tmp_path, hire, alone):
    ray = FakeRay(lambda actor, method, args: method == "draw" and any(key[0] == "p2" for key in args[0]))
    with hire(2, ray) as crew, pytest.raises(InputError, match=r"given up.* 'p2', from number 0 \(killed\)"):
        crew.run(CONFIG, out=tmp_path / "run")
    partial = read_run(tmp_path / "run")
    assert set(partial.samples["problem_id"]) == {"p0", "p1", "p3"} and len(partial.samples) == 9
    with hire(4) as crew:
        same(crew.run(CONFIG, out=tmp_path / "run"), alone)


def test_workers_that_die_while_they_load_are_not_started_for_ever(tmp_path, hire, alone):
    crew = hire(1, FakeRay(lambda actor, method, args: method == "open"))
    with crew, pytest.raises(InputError, match="3 workers died while they loaded 'tiny': killed"):
        crew.run(CONFIG, out=tmp_path / "none")
    # Where one machine of several cannot load, the others go on.
    ray = FakeRay(lambda actor, method, args: method == "open" and actor.number != 1)
    with hire(2, ray) as crew:
        same(crew.run(CONFIG, out=tmp_path / "run"), alone)


def test_another_number_of_workers_continues_what_an_interrupt_left(tmp_path, hire, alone):
    class Interrupted(FakeRay):
        """Ctrl-C while the driver waits, as it does nearly always, with some samples done and some not."""

        waits = 0

        def wait(self, waitables, num_returns=1, timeout=None):
            self.waits += 1
            if self.waits == 8:
                raise KeyboardInterrupt
            return super().wait(waitables, num_returns, timeout)

    with hire(2, Interrupted()) as crew, pytest.raises(KeyboardInterrupt):
        crew.run(CONFIG, out=tmp_path / "run")
    assert 0 < len(read_run(tmp_path / "run").samples) < 12
    with hire(3) as crew:
        same(crew.run(CONFIG, out=tmp_path / "run"), alone)


def test_a_worker_loads_once_for_all_runs(tmp_path, hire, monkeypatch):
    ray = FakeRay()
    with hire(2, ray) as crew:
        crew.run(CONFIG, out=tmp_path / "a")
        crew.run(extended(num_samples=4), out=tmp_path / "b")
    assert len(ray.actors) == 2 and all(actor.dead for actor in ray.actors)


def test_an_error_in_a_worker_is_an_error_here(tmp_path, hire, monkeypatch):
    monkeypatch.setattr(FakeTask, "grade", lambda self, problem, text: 1)
    with hire(2) as crew:
        with pytest.raises(InputError, match=r"grade\(\) of task 'runs-fake' must return"):
            crew.run(CONFIG, out=tmp_path / "run")
        monkeypatch.setattr(FakeTask, "grade", lambda self, problem, text: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            crew.run(CONFIG, out=tmp_path / "run")


def test_workers_of_other_versions_are_refused_with_both(tmp_path, hire, monkeypatch):
    monkeypatch.setattr(crew_module, "versions", lambda: {**worker.versions(), "torch": "1.0"})
    with hire(2) as crew, pytest.raises(InputError, match=r"has torch \d.*, and this process has torch 1.0"):
        crew.run(CONFIG, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_workers_of_another_checkout_of_the_version_are_refused(tmp_path, hire, monkeypatch):
    found = []
    for i, files in enumerate(({"a.py": "x = 1"}, {"a.py": "x = 2"}, {"b/a.py": "x = 2"}, {"a.py": "x = 2", "b": "x"})):
        for name, text in files.items():
            path = tmp_path / str(i) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        found.append(worker.source_checksum(tmp_path / str(i)))
    assert len(set(found)) == 3 and found[-1] == found[1]

    ours = worker.versions()
    monkeypatch.setattr(crew_module, "versions", lambda: ours)
    monkeypatch.setattr(worker, "source_checksum", lambda package: "another")
    with (
        hire(2) as crew,
        pytest.raises(InputError, match=r"has flexeval .* \(source files another\), and this process"),
    ):
        crew.run(CONFIG, out=tmp_path / "run")


@pytest.mark.parametrize("part", ["weights", "vocabulary", "dtype"])
def test_workers_with_another_model_are_refused(tmp_path, hire, monkeypatch, part):
    values = iter(["float32", "bfloat16"])
    monkeypatch.setattr(worker.Worker, "_here", lambda self, config: here(config, **{part: next(values)}))
    with hire(2) as crew, pytest.raises(InputError, match=f"has another {part} than the first one"):
        crew.run(CONFIG, out=tmp_path / "run")


@pytest.mark.parametrize("threads", ["", "4,2", "none", "1"])
def test_any_number_of_threads_in_the_environment_is_read(tmp_path, hire, alone, monkeypatch, threads):
    monkeypatch.setenv("OMP_NUM_THREADS", threads)
    with hire(2) as crew:
        same(crew.run(CONFIG, out=tmp_path / "run"), alone)


def test_more_workers_than_groups_are_refused(tmp_path, hire):
    with hire(9) as crew, pytest.raises(InputError, match="there are 8 such groups; use --workers 8"):
        crew.run(CONFIG, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_crew_that_is_closed_says_so(tmp_path, hire):
    crew = hire(2)
    crew.close()
    for use in (lambda: crew.run(CONFIG, out=tmp_path / "run"), lambda: crew.grade("fake", [])):
        with pytest.raises(InputError, match="is closed"):
            use()


def test_a_worker_cannot_choose_its_gpu(hire):
    with pytest.raises(InputError, match="--device is auto, cpu or cuda, not cuda:1"):
        hire(2, machine=worker.Machine(device="cuda:1"))


def test_workers_grade_as_one_process_does(hire, monkeypatch):
    monkeypatch.setattr(crew_module, "GRADED_TOGETHER", 3)
    task = FakeTask()
    texts = [(problem, f"{i % 3} and more") for i, problem in enumerate(task.problems() * 4)]
    expected = [task.grade(problem, text) for problem, text in texts]
    deaths = iter([True, False, True, True])
    ray = FakeRay(lambda actor, method, args: method == "grade" and next(deaths, False))
    with hire(3, ray) as crew:
        assert crew.grade("runs-fake", texts) == (expected, [])
    # Two that die as they start, of which one replaced a worker that died as it graded.
    dying = {"grade": iter([True]), "about": iter([False, False, False, True, True])}
    with hire(3, FakeRay(lambda actor, method, args: next(dying[method], False))) as crew:
        assert crew.grade("runs-fake", texts) == (expected, [])
    # Where one machine of several cannot start a worker, the others go on.
    with hire(2, FakeRay(lambda actor, method, args: method == "about" and actor.number != 1)) as crew:
        assert crew.grade("runs-fake", texts) == (expected, [])
    for method, doing in (("grade", "graded texts"), ("about", "started: killed")):
        crew = hire(2, FakeRay(lambda actor, called, args, dying=method: called == dying))
        with crew, pytest.raises(InputError, match=f"3 workers died while they {doing}"):
            crew.grade("runs-fake", texts)
