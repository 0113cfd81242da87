"""What a command asks of Ray, and what it says where it cannot have it. Needs no Ray."""

from __future__ import annotations

import builtins
import socket

import pytest

from flexeval.errors import InputError
from flexeval.workers import cluster
from flexeval.workers.cluster import Share, share


@pytest.mark.parametrize(
    ("nodes", "workers", "cpu", "expected"),
    [
        ([{"CPU": 8.0}], 2, False, Share(gpus=0, processors=4)),
        ([{"CPU": 7.0}], 4, False, Share(gpus=0, processors=1)),
        ([{"CPU": 128.0, "GPU": 8.0}], 8, False, Share(gpus=1, processors=16)),
        ([{"CPU": 128.0, "GPU": 2.0}], 8, True, Share(gpus=0, processors=16)),
        # A worker is on one machine, whatever the sum of all.
        ([{"CPU": 1.0}, {"CPU": 1.0}], 1, False, Share(gpus=0, processors=1)),
        ([{"CPU": 4.0}, {"CPU": 10.0}], 3, False, Share(gpus=0, processors=4)),
        ([{"CPU": 64.0}, {"CPU": 12.0, "GPU": 4.0}], 4, False, Share(gpus=1, processors=3)),
    ],
)
def test_each_worker_has_its_share_of_a_machine(nodes, workers, cpu, expected):
    assert share(nodes, workers=workers, cpu=cpu) == expected


def test_too_few_gpus_or_processors_are_refused():
    with pytest.raises(InputError, match="8 workers need 8 GPUs, and Ray has 4 here; use --workers 4, or --device cpu"):
        share([{"CPU": 64.0, "GPU": 4.0}], workers=8, cpu=False)
    with pytest.raises(InputError, match="3 workers need a processor each, and Ray has room for 2 here"):
        share([{"CPU": 2.0}, {}], workers=3, cpu=False)


@pytest.mark.parametrize("address", ["nonsense", "a b:1", "host:", "host:99999", ":6379", "http://host:1"])
def test_what_is_no_address_is_refused(address):
    with pytest.raises(InputError, match="cannot read --ray-address"):
        cluster.require_address(address)


def test_an_address_where_nothing_answers_is_refused_soon():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(InputError, match="nothing answers at"):
            cluster._require_reachable(f"127.0.0.1:{taken.getsockname()[1]}")


def test_the_client_of_ray_is_refused():
    with pytest.raises(InputError, match="--ray-address auto"):
        cluster.require_address("ray://head:10001")


@pytest.mark.parametrize(
    ("address", "error", "said"),
    [
        (None, Exception("The current node timed out."), "cannot use Ray at this machine: The current node timed out."),
        (None, SystemExit(1), "cannot use Ray at this machine: 1"),
        ("auto", ConnectionError("Set the `--address` flag"), "start one with `ray start --head`, write HOST:PORT"),
        ("auto", RuntimeError("GCS is down"), "cannot use Ray at auto: GCS is down"),
    ],
)
def test_a_ray_that_does_not_begin_is_one_line_and_is_ended(monkeypatch, address, error, said):
    class Broken:
        _private = None
        ended = False

        def is_initialized(self):
            return False

        def init(self, **options):
            raise error

        def shutdown(self):
            self.ended = True

    ray = Broken()
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(cluster, "import_ray", lambda: ray)
    with pytest.raises(InputError) as refused:
        cluster.connect(address, workers=2, cpu=True)
    assert said in str(refused.value) and "--address`" not in str(refused.value) and ray.ended


def test_without_ray_one_line_says_what_to_install(monkeypatch):
    imported = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "ray":
            raise ModuleNotFoundError(name)
        return imported(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(InputError, match=r"pip install 'flexeval-dllm\[ray\]'"):
        cluster.connect(None, workers=2, cpu=True)
