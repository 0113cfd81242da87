"""Run folders: the only reader and writer of them.

    <run>/
      config.json        RunConfig, what it was begun with (versions, device, dtype), source of the data, what confined
                         the programs (null where the task runs none), prompt template, first prompt
      problems.jsonl     one line per problem, in the task's order: id, question, target, prompt length and hash
      samples.jsonl      one line per finished sample, appended: ids, text, verdict, nfe, length
      tokens/*.parquet   one row per committed position (`flexeval.runs.tokens.SCHEMA`), and one per token that was
                         taken back (`flexeval.runs.revisions.SCHEMA`)
      words-*.parquet    the words of the token rows, kept by the first command that needs them (`flexeval.runs.words`)
      sampling.jsonl     the journal, one line per write: samples, seconds in the sampler, evaluations asked for and
                         computed, the file of the token rows, and what the samples were drawn with
      summary.json       the seal, written last: counts and checksums of a complete run
      .lock              held by the process that writes

A run may be killed and its folder copied and read at any moment. `flexeval.runs.writer` says what is written when, and
why that suffices; `flexeval.runs.checksums` and `reader`, how a reader notices what was changed or lost;
`flexeval.runs.layout`, what every field may be. Imports no torch.
"""

from flexeval.runs.environment import machine_differences
from flexeval.runs.frames import SETTINGS, settings_of, with_settings
from flexeval.runs.identity import canonical_config, default_folder_name
from flexeval.runs.layout import GradedSample, StoredProblem, stored_problem
from flexeval.runs.pooling import PooledRun, pooled
from flexeval.runs.reuse import read_finished_run, reusable_run
from flexeval.runs.run import Run, read_config, read_run
from flexeval.runs.run_set import (
    BLOCK,
    EXTENT,
    TEMPERATURE,
    RunSet,
    alike,
    ar_standing,
    as_runs,
    at_paper_settings,
    changed_problem,
    changed_text,
    fewest_samples,
    on_same_problems,
    on_their_own,
    paper_block,
    read_runs,
)
from flexeval.runs.writer import RunWriter, open_run, reopen_run

__all__ = [
    "BLOCK",
    "EXTENT",
    "SETTINGS",
    "TEMPERATURE",
    "GradedSample",
    "PooledRun",
    "Run",
    "RunSet",
    "RunWriter",
    "StoredProblem",
    "alike",
    "ar_standing",
    "as_runs",
    "at_paper_settings",
    "canonical_config",
    "changed_problem",
    "changed_text",
    "default_folder_name",
    "fewest_samples",
    "machine_differences",
    "on_same_problems",
    "on_their_own",
    "open_run",
    "paper_block",
    "pooled",
    "read_config",
    "read_finished_run",
    "read_run",
    "read_runs",
    "reopen_run",
    "reusable_run",
    "settings_of",
    "stored_problem",
    "with_settings",
]
