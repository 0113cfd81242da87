"""What samples took back, beside the record of what stands: measurements at the first commit, and what came after.

The token rows hold the last commit of every position. `Run.revisions` has a row for each token that was taken back.
"""

from __future__ import annotations

import pandas as pd

KEYS = ["problem_id", "sample_index", "position"]
_FIRST = {"commit_step": "commit_step", "entropy": "commit_entropy", "prob": "commit_prob", "passes": "passes"}
"""Measurement of a token row -> the column of the revisions that has it for the token that was taken back."""


def first_commits(tokens: pd.DataFrame, revisions: pd.DataFrame) -> pd.DataFrame:
    """The token rows with what was measured at the first commit of each position, where that was not the last.

    Pieces stay those of the text, so that words are found in what was written and measured at what was thought first.

    Args:
        tokens: rows of `Run.tokens` with problem_id, sample_index and position.
        revisions: `Run.revisions` of the same samples.

    Returns:
        The same rows and columns, but `rank` and `top_prob`, which are known of last commits only. commit_step, entropy
        (nats), prob and passes (up to then) are those of the first commit.
    """
    first = revisions.drop_duplicates(KEYS)[[*KEYS, *_FIRST.values()]]
    found = tokens[KEYS].merge(
        first.rename(columns={old: f"first_{name}" for name, old in _FIRST.items()}).astype({"problem_id": object}),
        on=KEYS,
        how="left",
    )
    found.index = tokens.index
    replaced = {
        name: found[f"first_{name}"].fillna(tokens[name]).astype(tokens[name].dtype)
        for name in _FIRST
        if name in tokens
    }
    return tokens.drop(columns=["rank", "top_prob"], errors="ignore").assign(**replaced)


def successors(tokens: pd.DataFrame, revisions: pd.DataFrame) -> pd.DataFrame:
    """The revisions with what stood next at the position, `next_token`, and in the end, `last_token`.

    A revision goes back where `next_token` is the old token. Both are -1 where a position was left a mask.

    Args:
        tokens: rows of `Run.tokens` with problem_id, sample_index, position and token_id.
        revisions: `Run.revisions` of the same samples.
    """
    last = tokens[[*KEYS, "token_id"]].astype({"problem_id": object})
    joined = revisions[KEYS].astype({"problem_id": object}).merge(last, on=KEYS, how="left")
    last_token = joined["token_id"].fillna(-1).astype("int32").to_numpy()
    following = revisions.groupby(KEYS, observed=True)["old_token"].shift(-1)
    next_token = following.fillna(pd.Series(last_token, index=revisions.index)).astype("int32")
    return revisions.assign(next_token=next_token, last_token=last_token)


def taken_back_by_piece(tokens: pd.DataFrame, revisions: pd.DataFrame) -> pd.DataFrame:
    """How often each token was committed, and how often taken back.

    Args:
        tokens: rows of `Run.tokens` with piece and commit_step.
        revisions: `Run.revisions` of the same samples.

    Returns:
        One row a text of a token, without the space around it, by falling number of commits: piece, commits (those that
        stand, and those that were taken back), taken_back, share (of the commits, a fraction).
    """
    stand = tokens.loc[tokens["commit_step"] >= 0, "piece"].astype(object).str.strip().value_counts()
    gone = revisions["old_piece"].astype(object).str.strip().value_counts()
    table = pd.DataFrame({"stand": stand, "taken_back": gone}).fillna(0).astype("int64").rename_axis("piece")
    table["commits"] = table["stand"] + table["taken_back"]
    table["share"] = table["taken_back"] / table["commits"]
    by_count = table.reset_index().sort_values(["commits", "piece"], ascending=[False, True], ignore_index=True)
    return by_count[["piece", "commits", "taken_back", "share"]]
