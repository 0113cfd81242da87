"""The public loops of orders that revise, or wait, once more: one sample, plain Python, the whole canvas each time.

Each is written from what the public code does (named below) and shares with the sampler the uniform numbers only. A
loop gives the canvas before every evaluation, and the final one.

    wino    Feng-Hong/WINO-DLLM, LLaDA/decoding.py, decoding_wino
    loop    guanghanwang/ReMDM-LLaDA, eval_llada.py, llada_remdm_sample
    cap     kuleshov-group/remdm, diffusion.py, remdm-cap and remdm-conf
    edit    generate of LLaDA2.1
    t2m     synsis/remasked_DLM, remask/modeling_remask.py
    klass   shkim0116/KLASS, src/model/llada_klass.py
"""

from __future__ import annotations

import math

import numpy as np
import torch

from flexeval.sampling.randomness import Purpose, sample_key, uniforms

INF = float("inf")


class Model:
    """A bundled model, one canvas at a time, and the draws of one sample."""

    def __init__(self, model, prompt, length, *, temperature, mask_drawn, problem_id="p", index=0, seed=0):
        self.model, self.prompt, self.length = model, list(prompt), length
        self.mask, self.temperature, self.mask_drawn = model.mask_id, temperature, mask_drawn
        self.key = np.array([sample_key(seed, problem_id, index)], dtype=np.uint64)
        self.draws = [0] * length

    def logits(self, text):
        with torch.inference_mode():
            hidden = self.model.hidden(torch.tensor([[*self.prompt, *text]]))
            return self._read(hidden[0, len(self.prompt) :])

    def twins(self, text, start, end):
        """(logits of the text, logits of the masks beside it that stand for start..end - 1)."""
        first, total, size = len(self.prompt), len(self.prompt) + len(text), end - start
        ids = torch.tensor([[*self.prompt, *text, *[self.mask] * size]])
        places = torch.tensor([[*range(total), *range(first + start, first + end)]])
        sees = torch.zeros(total + size, total + size, dtype=torch.bool)
        sees[:, :total] = True
        sees[total:, total:] = True
        for twin in range(size):
            sees[total + twin, first + start + twin] = False
        bias = torch.where(sees, 0.0, torch.finfo(torch.float32).min)[None, None]
        with torch.inference_mode():
            trunk = self.model.module.base_model
            hidden = trunk(ids, attention_mask=bias, position_ids=places, use_cache=False).last_hidden_state[0]
            return self._read(hidden[first:total]), self._read(hidden[total:])

    def _read(self, hidden):
        logits = self.model.logits(hidden).double().numpy()
        # Text to the end: the tail of a finished text is full of ties.
        logits[:, self.model.eos_id] = -INF
        if not self.mask_drawn:
            logits[:, self.mask] = -INF
        return logits

    def draw(self, logits_V, position):
        """The next draw at a position."""
        if self.temperature == 0:
            return int(logits_V.argmax())
        weights = np.exp((logits_V - logits_V.max()) / self.temperature)
        u = uniforms(self.key, Purpose.TOKEN, np.array([position]), self.draws[position])[0]
        self.draws[position] += 1
        return int(np.searchsorted(np.cumsum(weights), u * weights.sum(), side="right"))

    def noise(self, step):
        return uniforms(self.key, Purpose.CHOICE, np.arange(self.length), step)


def softmax(logits):
    weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


def blocks(length, size):
    return [(start, min(start + size, length)) for start in range(0, length, size)]


def top(scores, count):
    """The positions of the highest scores of a dict; the leftmost among equals."""
    return sorted(scores, key=lambda g: (-scores[g], g))[:count]


def wino(m, block, *, tau=0.6, tau_back=0.9):
    text, canvases = [m.mask] * m.length, []
    for start, end in blocks(m.length, block):
        last_accept = 30
        while m.mask in text[start:end]:
            canvases.append(list(text))
            masks = [g for g in range(start, end) if text[g] == m.mask]
            most = min(max(int(len(masks) * 0.7), 5), 20)
            logits, beside = m.twins(text, start, end)
            probs, looks = softmax(logits), softmax(beside)
            x0 = {g: m.draw(logits[g], g) for g in masks}
            confidence = {g: probs[g, x0[g]] for g in masks}
            back = {g: looks[g - start, text[g]] for g in range(start, end) if g not in masks}
            accept = [g for g in masks if confidence[g] > tau]
            if len(accept) > most:
                accept = top(confidence, most)
            elif not accept:
                accept = top(confidence, 1)
            remask = [g for g in back if back[g] < tau_back] if len(accept) > 1 else []
            if len(remask) >= last_accept:
                remask = top({g: -back[g] for g in back}, last_accept - 1)
            for g in accept:
                text[g] = x0[g]
            for g in remask:
                text[g] = m.mask
            last_accept = len(accept)
    return canvases, text


def loop(m, block, *, number=1):
    text, canvases = [m.mask] * m.length, []
    for start, end in blocks(m.length, block):
        size, cache = end - start, dict.fromkeys(range(start, end), INF)
        first = int(size / 8 * 7)
        for i in range(2 * size):
            looping = first <= i < first + size
            if looping:
                for g in [g for g in top({g: -cache[g] for g in cache}, number) if cache[g] < INF]:
                    cache[g], text[g] = INF, m.mask
            canvases.append(list(text))
            logits = m.logits(text)
            probs = softmax(logits)
            x0 = {g: m.draw(logits[g], g) for g in range(start, end) if text[g] == m.mask}
            confidence = {g: probs[g, token] for g, token in x0.items()}
            for g in top(confidence, number if looping else 1):
                text[g], cache[g] = x0[g], confidence[g]
    return canvases, text


def random_remasking(m, block, *, rule, eta=0.02, per_token=2.0):
    text, canvases, step = [m.mask] * m.length, [], 0
    for start, end in blocks(m.length, block):
        steps, conf = math.ceil(per_token * (end - start)), {}
        for i in range(steps):
            canvases.append(list(text))
            alpha_t, alpha_s = i / steps, (i + 1) / steps
            sigma_max = min(1, (1 - alpha_s) / alpha_t) if alpha_t > 0 else 1
            noise, logits = m.noise(step), m.logits(text)
            probs = softmax(logits)
            total = sum(math.exp(-p) for p in conf.values())
            before = dict(conf)
            for g in range(start, end):
                sigma = min(eta, sigma_max) if rule == "cap" else 0.0
                if text[g] == m.mask:
                    if i == steps - 1 or noise[g] < (alpha_s - (1 - sigma) * alpha_t) / (1 - alpha_t):
                        text[g] = m.draw(logits[g], g)
                        conf[g] = probs[g, text[g]]
                else:
                    if rule == "conf":
                        sigma = math.exp(-before[g]) / total * sigma_max
                    if noise[g] < sigma:
                        text[g] = m.mask
                        del conf[g]
            step += 1
    return canvases, text


def edit(m, block, *, tau=0.95, tau_edit=0.9, least=1, post_steps=16, t2m=None):
    """LLaDA2.1's loop, and with `t2m` (rule, threshold, share, remasks) that of T2M."""
    text, canvases = [m.mask] * m.length, []
    for start, end in blocks(m.length, block):
        posts, counts, previous, evaluation = 0, dict.fromkeys(range(start, end), 0), None, 0
        while True:
            masks = [g for g in range(start, end) if text[g] == m.mask]
            tokens = [g for g in range(start, end) if text[g] != m.mask]
            posts += not masks
            if posts > post_steps:
                break
            canvases.append(list(text))
            logits = m.logits(text)
            probs = softmax(logits)
            redraws = t2m is None or t2m[0] == "t2t"
            x0 = {g: m.draw(logits[g], g) for g in range(start, end) if g in masks or redraws}
            confidence = {g: probs[g, x0[g]] for g in masks}
            clear = [g for g in masks if confidence[g] > tau]
            commit = clear if len(clear) >= least else top(confidence, least)
            if t2m is None:
                changed = [g for g in tokens if x0[g] != text[g] and probs[g, x0[g]] > tau_edit]
                for g in changed:
                    text[g] = x0[g]
            else:
                rule, threshold, share, remasks = t2m
                if rule == "low_prob":
                    score = {g: probs[g, text[g]] for g in tokens}
                    suspects = [g for g in tokens if score[g] < threshold]
                elif rule == "t2t":
                    score = {g: 1 - probs[g, x0[g]] for g in tokens}
                    suspects = [g for g in tokens if x0[g] != text[g] and probs[g, x0[g]] > threshold]
                elif previous is None or not tokens:
                    score, suspects = {}, []
                else:
                    score = {g: -abs(probs[g, text[g]] - previous[g, text[g]]) for g in tokens}
                    suspects = [g for g in tokens if -score[g] > threshold]
                previous = probs if tokens else None
                suspects = [g for g in suspects if counts[g] < remasks]
                most = max(1, int(len(tokens) * share))
                changed = top({g: -score[g] for g in suspects}, most)
                for g in changed:
                    counts[g] += 1
                    text[g] = m.mask
            for g in commit:
                text[g] = x0[g]
            evaluation += 1
            if not masks and not changed:
                break
    return canvases, text


def klass(m, block, *, tau=0.9, tau_kl=0.01, rest=2):
    text, canvases = [m.mask] * m.length, []
    history, previous = np.zeros((m.length, rest)), np.zeros((m.length, m.model.vocab_size))
    for start, end in blocks(m.length, block):
        for step in range(end - start):
            masks = [g for g in range(start, end) if text[g] == m.mask]
            if not masks:
                break
            canvases.append(list(text))
            logits = m.logits(text)
            probs = softmax(logits)
            x0 = {g: m.draw(logits[g], g) for g in masks}
            confidence = {g: probs[g, x0[g]] for g in masks}
            kl = (probs * (np.log(probs + 1e-12) - np.log(previous + 1e-12))).sum(axis=1)
            history, previous = np.column_stack([history[:, 1:], kl]), probs
            stable = (history < tau_kl).all(axis=1) & (step >= rest - 1)
            for g in [g for g in masks if stable[g] and confidence[g] > tau] or top(confidence, 1):
                text[g] = x0[g]
    return canvases, text


RULES = {
    "wino": (wino, {}),
    "wino:tau=0.3,tau_back=0.95": (wino, {"tau": 0.3, "tau_back": 0.95}),
    "remdm:rule=loop": (loop, {}),
    "remdm:rule=loop,number=3": (loop, {"number": 3}),
    "remdm:eta=0.2": (random_remasking, {"rule": "cap", "eta": 0.2}),
    "remdm:per_token=1.3": (random_remasking, {"rule": "cap", "per_token": 1.3}),
    "remdm:rule=conf": (random_remasking, {"rule": "conf"}),
    "edit": (edit, {}),
    "edit:tau=0.3,tau_edit=0.2,post_steps=3": (edit, {"tau": 0.3, "tau_edit": 0.2, "post_steps": 3}),
    "edit:tau=0.6,tau_edit=0.3,least=2": (edit, {"tau": 0.6, "tau_edit": 0.3, "least": 2}),
    "t2m:tau=0.3": (edit, {"tau": 0.3, "t2m": ("low_prob", 0.5, 0.25, 5)}),
    "t2m:tau=0.2,tau_back=0.9,share=0.6,remasks=2": (edit, {"tau": 0.2, "t2m": ("low_prob", 0.9, 0.6, 2)}),
    "t2m:rule=t2t,tau=0.2,tau_back=0.3": (edit, {"tau": 0.2, "t2m": ("t2t", 0.3, 0.25, 5)}),
    "t2m:rule=logit_diff,tau=0.2,tau_back=0.1": (edit, {"tau": 0.2, "t2m": ("logit_diff", 0.1, 0.25, 5)}),
    "klass": (klass, {}),
    "klass:tau=0.5,tau_kl=0.5,rest=1": (klass, {"tau": 0.5, "tau_kl": 0.5, "rest": 1}),
}  # fmt: skip
"""Order -> the public loop that it equals, and its parameters."""
