"""Packages of samples: whatever happens to workers, every sample is handed out until it is there or given up."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flexeval.workers.packages import TRIES, Packages, groups


def keys(problems, num_samples):
    return [(f"p{i}", j) for i in range(problems) for j in range(num_samples)]


def packages(problems, num_samples, *, size, workers):
    wanted = keys(problems, num_samples)
    return Packages(keys=iter(wanted), missing=len(wanted), size=size, workers=workers)


numbers = st.integers(1, 12)


@settings(max_examples=200, deadline=None)
@given(problems=numbers, num_samples=numbers, size=numbers, workers=st.integers(1, 5), seed=st.integers(0, 10**6))
def test_every_sample_comes_back_once_whoever_dies(problems, num_samples, size, workers, seed):
    rng = random.Random(seed)
    queue = packages(problems, num_samples, size=size, workers=workers)
    there = []
    while queue.left():
        package = queue.pop()
        assert 0 < len(package.keys) <= max(size, 1)
        delivered = rng.randrange(len(package.keys) + 1) if rng.random() < 0.3 and package.deaths < TRIES - 1 else None
        for key in list(package.keys)[:delivered]:
            package.delivered(key)
            there.append(key)
        if delivered is not None:
            assert queue.give_back(package, "killed") == len(package.keys)
    assert queue.pop() is None and not queue.given_up
    assert sorted(there) == sorted(keys(problems, num_samples))


@given(problems=numbers, num_samples=numbers, size=numbers, workers=numbers)
def test_groups_are_not_divided_and_all_workers_have_some(problems, num_samples, size, workers):
    queue = packages(problems, num_samples, size=size, workers=workers)
    found = []
    while (package := queue.pop()) is not None:
        found.append(package.keys)
    together = [[key[0] for key, _ in itertools.groupby(part, key=lambda key: key[0:1])] for part in found]
    parts = [problem for part in together for problem in part]
    assert len(parts) == groups(problems, num_samples, size)
    assert len(found) >= min(workers, groups(problems, num_samples, size))


def test_a_package_fills_the_batch_while_much_is_left():
    queue = packages(1000, 4, size=32, workers=8)
    assert [len(queue.pop().keys) for _ in range(100)] == [32] * 100


def test_keys_are_read_only_as_far_as_they_are_needed():
    read = []
    endless = (read.append(i) or (f"p{i // 4}", i % 4) for i in itertools.count())
    queue = Packages(keys=endless, missing=10**9, size=8, workers=2)
    for _ in range(5):
        queue.pop()
    assert len(read) < 60


def test_the_group_that_kills_workers_is_found_and_given_up():
    queue = packages(4, 2, size=8, workers=1)
    alive, deaths = [], 0
    while queue.left():
        package = queue.pop()
        if any(problem == "p1" for problem, _ in package.keys):
            deaths += 1
            queue.give_back(package, "killed by p1")
        else:
            alive += package.keys
    assert sorted(alive) == [key for key in keys(4, 2) if key[0] != "p1"]
    assert deaths == TRIES
    (given_up,) = queue.given_up
    assert list(given_up.keys) == [("p1", 0), ("p1", 1)]
    assert str(given_up) == "2 samples of problem 'p1', from number 0 (killed by p1)"


@pytest.mark.parametrize(("num_samples", "size", "expected"), [(1, 8, 5), (8, 8, 5), (9, 8, 10)])
def test_how_many_groups_there_are(num_samples, size, expected):
    assert groups(5, num_samples, size) == expected
