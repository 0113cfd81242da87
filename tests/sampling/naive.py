"""The loop once more, as slowly and plainly as possible: one sample, full logits, float64, no batching.

Written from the definitions in docs/design.md, sections 5 and 6, and sharing with the sampler only the
orders, the schedule and the uniform numbers.
"""

from __future__ import annotations

import numpy as np

from flexeval.orders.order import Order
from flexeval.records import DecodingState, SamplingConfig
from flexeval.sampling.randomness import Purpose, sample_key, uniforms
from flexeval.sampling.schedule import budget, num_steps


def naive_sample(oracle, order: Order, config: SamplingConfig, problem_id: str, index: int, prompt: list[int]) -> dict:
    """The record of one sample as plain lists and arrays, under the names of `Trajectory`."""
    length, mask, size = config.gen_length, oracle.mask_id, config.block
    key = np.array([sample_key(config.seed, problem_id, index)], dtype=np.uint64)
    canvas = np.array([*prompt, *[mask] * length])
    text = canvas[len(prompt) :]
    record = {name: np.full(length, np.nan) for name in
              ("entropy_G", "prob_G", "top_prob_G", "eligible_entropy_G", "frontier_entropy_G")}  # fmt: skip
    record |= {name: np.full(length, -1) for name in ("commit_step_G", "rank_G", "frontier_step_G")}
    record |= {"passes_G": np.zeros(length, int)}
    draws, step, nfe = np.zeros(length, int), 0, 0

    def settled() -> bool:
        stops = [g for g in range(length) if text[g] in oracle.stop_ids]
        return config.stop_at_eos and bool(stops) and mask not in text[: stops[0]]

    for start in range(0, length, size):
        end = min(start + size, length)
        for place in range(end - start if order.adaptive else num_steps(config, end - start)):
            eligible = [g for g in range(end) if text[g] == mask]
            if not eligible or settled():
                break
            count = 1 if order.adaptive else budget(config, end - start, place, len(eligible))
            if count == 0:
                step += 1
                continue
            log_p = oracle.log_conditionals(canvas)
            if config.cfg_scale:
                blank = np.array([*[mask] * len(prompt), *text])
                plain = oracle.log_conditionals(blank)
                log_p = plain + (config.cfg_scale + 1) * (log_p - plain)
            log_p = log_p[len(prompt) :].astype(np.float32).astype(np.float64)
            removed = [mask] * config.logits_mask_inf + [oracle.eos_id] * config.logits_eos_inf
            log_p[:, removed] = -np.inf
            model = softmax(log_p)
            nfe += 2 if config.cfg_scale else 1

            # What the order may read.
            scored = tempered(log_p, config.temperature or 1.0, config) if config.scored == "sampled" else model
            if config.confidence_eos_eot_inf:
                scored = scored.copy()
                scored[:, [oracle.eos_id, *oracle.stop_ids]] = 0
                scored[scored.sum(axis=1) == 0] = 1
                scored[:, [oracle.eos_id, *oracle.stop_ids]] = 0
                scored /= scored.sum(axis=1, keepdims=True)
            proposal = np.full(length, -1)
            confidence = np.full(length, np.nan)
            if order.draw == "propose":
                for g in eligible:
                    u = uniforms(key, Purpose.TOKEN, np.array([g]), draws[g])[0]
                    proposal[g] = inverse_cdf(tempered(log_p, config.temperature, config)[g], u)
                    confidence[g] = scored[g, proposal[g]]
                    draws[g] += 1
            two = np.sort(scored, axis=1)[:, ::-1]
            at = np.isin(np.arange(length), eligible)
            state = DecodingState(
                eligible_BG=at[None],
                frontier_B=np.array([eligible[0]]),
                budget_B=np.array([min(count, len(eligible))]),
                step_B=np.array([step]),
                committed_B=np.array([length - np.sum(text == mask)]),
                top_prob_BG=np.where(at, two[:, 0], np.nan)[None].astype(np.float32),
                margin_BG=np.where(at, two[:, 0] - two[:, 1], np.nan)[None].astype(np.float32),
                entropy_BG=np.where(at, entropy(scored), np.nan)[None].astype(np.float32),
                proposal_BG=proposal[None],
                confidence_BG=confidence[None].astype(np.float32),
                uniform_BG=uniforms(key, Purpose.POSITION, np.arange(length))[None],
            )
            chosen = np.flatnonzero(order(state)[0])

            # Measure what the record keeps.
            frontier = eligible[0]
            if record["frontier_step_G"][frontier] < 0:
                record["frontier_step_G"][frontier] = step
                record["frontier_entropy_G"][frontier] = entropy(model)[frontier]
            if order.reads_model and place == 0:
                record["eligible_entropy_G"][eligible] = entropy(model)[eligible]
            record["passes_G"][frontier] += frontier not in chosen

            # Draw, commit.
            temperature = float(order.temperature(state, config.temperature)[0])
            for g in chosen:
                token = proposal[g]
                if order.draw == "select":
                    u = uniforms(key, Purpose.TOKEN, np.array([g]))[0]
                    token = inverse_cdf(tempered(log_p, temperature, config)[g], u)
                if token == mask:
                    continue
                text[g] = token
                record["commit_step_G"][g] = step
                record["entropy_G"][g] = entropy(model)[g]
                record["prob_G"][g] = model[g, token]
                record["top_prob_G"][g] = model[g].max()
                earlier = (model[g] == model[g, token]) & (np.arange(len(model[g])) < token)
                record["rank_G"][g] = np.sum((model[g] > model[g, token]) | earlier)
            step += 1
    stops = [g for g in range(length) if text[g] in oracle.stop_ids]
    return record | {"token_ids_G": text.copy(), "nfe": nfe, "length": stops[0] if stops else length}


def softmax(log_p):
    weights = np.exp(log_p - log_p.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


def entropy(probs):
    return -(probs * np.log(np.where(probs > 0, probs, 1))).sum(axis=1)


def tempered(log_p, temperature, config):
    if temperature == 0:
        return np.eye(log_p.shape[1])[log_p.argmax(axis=1)]
    probs = softmax(log_p / temperature)
    if config.top_p < 1:
        for row in probs:
            order = np.argsort(-row, kind="stable")
            size = int(np.searchsorted(np.cumsum(row[order]), config.top_p)) + 1
            row[order[size:]] = 0
    if config.top_k:
        for row in probs:
            row[row < np.sort(row)[-config.top_k]] = 0
    return probs / probs.sum(axis=1, keepdims=True)


def inverse_cdf(probs_V, u):
    return int(np.searchsorted(np.cumsum(probs_V), u * probs_V.sum(), side="right"))
