"""LLaDA's published numbers beside those of runs: which run is taken, and what the table holds."""

from __future__ import annotations

import runpy
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from flexeval.records import RunConfig, SamplingConfig

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = runpy.run_path(str(ROOT / "analyses" / "llada_regime.py"))


@dataclass(frozen=True)
class Sampled:
    """As much of a run as choosing one needs."""

    config: RunConfig
    samples: range


def run(order, temperature, samples=8):
    return Sampled(RunConfig(order=order, sampling=SamplingConfig(temperature=temperature)), range(samples))


def test_the_nearest_temperature_is_taken_and_of_those_the_largest_run():
    runs = [run("ar", 0.6), run("ar", 1.0), run("ar", 1.0, samples=99), run("confidence", 1.2)]
    assert SCRIPT["nearest"](runs, "ar", 1.2) is runs[2]
    assert SCRIPT["nearest"](runs, "ar", 0.6) is runs[0]
    assert SCRIPT["nearest"](runs, "egi", 0.6) is None


def test_every_published_number_has_a_source_and_a_quantity_that_is_measured():
    published = pd.read_csv(SCRIPT["PUBLISHED"])
    assert set(published["quantity"]) <= set(SCRIPT["MEASURED"])
    assert published["source"].notna().all() and (published["low"] <= published["high"]).all()
    assert set(published["order"]) <= set(SCRIPT["ORDERS"])
    assert not published.duplicated(["quantity", "order", "benchmark"]).any()


def test_the_table_has_every_published_number_even_without_runs():
    published = pd.read_csv(SCRIPT["PUBLISHED"])
    rows = SCRIPT["rows"]([], published)
    assert len(rows) == published.groupby(["quantity", "order"]).ngroups
    assert ["entropy of connectors, nats", "ar", "0.6", "–", "1.5 to 2", "–"] in rows
