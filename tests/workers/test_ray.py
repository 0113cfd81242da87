"""Workers of a real Ray cluster of two nodes: the run of one process, to the byte, whoever is killed.

One cluster serves all tests, in any order: each needs one processor of it. The first has a pair of workers for all that
it looks at, since each takes seconds to import torch.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import flexeval
from flexeval.records import RunConfig, SamplingConfig
from flexeval.runs.runner import run
from flexeval.runs.store import read_run
from flexeval.tasks import get_task
from flexeval.workers import Crew, Machine

pytest.importorskip("ray")
pytestmark = [pytest.mark.linux, pytest.mark.slow, pytest.mark.filterwarnings("default")]

CONFIG = RunConfig(
    model="forks",
    task="forks",
    order="confidence",
    num_samples=4,
    limit=6,
    sampling=SamplingConfig(gen_length=32),
)


@pytest.fixture(scope="module")
def cluster():
    from flexeval.workers.cluster import import_ray

    ray = import_ray()
    from ray.cluster_utils import Cluster

    quiet = {"include_dashboard": False, "object_store_memory": 80 << 20}
    quick = {"health_check_initial_delay_ms": 1000, "health_check_period_ms": 500, "health_check_failure_threshold": 4}
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "_system_config": quick, **quiet})
    made.add_node(num_cpus=1, object_store_memory=80 << 20)
    ray.init(address=made.address, log_to_driver=False, logging_level="error")
    yield made
    ray.shutdown()
    made.shutdown()


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    predictor = flexeval.load_model("forks", device="cpu")
    out = tmp_path_factory.mktemp("alone")
    return run(CONFIG, out=out, predictor=predictor, task=get_task("forks"))


def same(made, alone):
    assert made.complete
    for name in ("problems.jsonl", "samples.jsonl"):
        assert (made.folder / name).read_bytes() == (alone.folder / name).read_bytes()
    # Of the token rows, all but the measurements is the same; these are up to rounding, as in one process.
    ours, theirs = made.tokens(), alone.tokens()
    for name in ours.columns:
        if ours[name].dtype.kind == "f":
            np.testing.assert_allclose(ours[name], theirs[name], rtol=0, atol=1e-5)
        else:
            assert ours[name].tolist() == theirs[name].tolist(), name


def killing(strike):
    """What a run is to call: it strikes once, when the first sample is there."""
    struck = []

    def report(progress):
        if progress.done and not struck:
            struck.append(True)
            strike()

    return report


@pytest.mark.timeout(600)
def test_a_crew_makes_the_run_of_one_process_whoever_is_killed(tmp_path, cluster, alone):
    import ray

    with Crew(2, machine=Machine(device="cpu")) as crew:
        # Two nodes.
        made = crew.run(CONFIG, out=tmp_path / "two nodes")
        same(made, alone)
        assert len(ray.nodes()) == 2 and ray.available_resources().get("CPU", 0) == 0
        (environment,) = made.environments
        assert environment["processes"] == 2
        texts = [(problem, problem.target) for problem in get_task("forks").problems()[:5]]
        grades, isolations = crew.grade("forks", texts)
        assert grades == [get_task("forks").grade(*text) for text in texts] and not isolations

        # A worker is killed, and replaced.
        victim = crew.members[0].pid
        made = crew.run(CONFIG, out=tmp_path / "worker", progress=killing(lambda: os.kill(victim, signal.SIGKILL)))
        same(made, alone)
        assert victim not in [member.pid for member in crew.members]

        # A node is killed.
        (node,) = cluster.worker_nodes
        made = crew.run(CONFIG, out=tmp_path / "node", progress=killing(lambda: node.kill_raylet(check_alive=False)))
        same(made, alone)


DRIVER = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from flexeval.runs import storage
from flexeval.workers import Crew, Machine
from test_ray import CONFIG
storage.FLUSH_SAMPLES = 2
with Crew(1, address={address!r}, machine=Machine(device="cpu")) as crew:
    crew.run(CONFIG, out=Path({out!r}), progress=lambda p: p.done > 4 and __import__("time").sleep(9))
"""


def test_a_driver_that_is_killed_leaves_a_run_that_one_process_continues(tmp_path, cluster, alone):
    code = DRIVER.format(tests=os.path.dirname(__file__), address=cluster.address, out=str(tmp_path))
    driver = subprocess.Popen([sys.executable, "-c", code])
    deadline = time.monotonic() + 300
    journal = tmp_path / "sampling.jsonl"
    while driver.poll() is None and time.monotonic() < deadline and not (journal.exists() and journal.read_bytes()):
        time.sleep(0.05)
    driver.kill()
    assert driver.wait() == -signal.SIGKILL
    partial = read_run(tmp_path)
    assert 0 < len(partial.samples) < len(alone.samples)
    predictor = flexeval.load_model("forks", device="cpu")
    same(run(CONFIG, out=tmp_path, predictor=predictor, task=get_task("forks")), alone)


def test_a_signal_ends_a_command_with_workers_as_one_without(tmp_path, cluster):
    """With the status and the line of a single process, and with what is finished stored."""
    out = tmp_path / "runs"
    argv = (
        f"passk --model forks --task forks --order confidence --num-samples 64 --limit 200 --gen-length 32 --out {out}"
    )
    driver = subprocess.Popen(
        [sys.executable, "-m", "flexeval", *argv.split(), "--ray-address", cluster.address],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGTERM, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 200
    while driver.poll() is None and time.monotonic() < deadline and not list(out.glob("**/tokens/*.parquet")):
        time.sleep(0.05)
    driver.send_signal(signal.SIGTERM)
    shown, said = driver.communicate()
    assert driver.returncode == 143, said
    assert "stopped by SIGTERM" in said and "Traceback" not in said and not shown
    (samples,) = out.glob("**/samples.jsonl")
    assert samples.read_bytes().count(b"\n") > 0
