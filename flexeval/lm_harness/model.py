"""lm-eval's model `flexeval`: its three questions answered by the sampler and by the chain of a mask predictor.

    generate_until         request -> Wanted -> Generator -> text
    loglikelihood          request -> Continuation -> Scorer -> log-probability and greedy flag
    loglikelihood_rolling  request -> its windows, each a Continuation -> Scorer -> the sum

It knows lm-eval's requests and the tokenizer; `generation.py` and `likelihood.py` compute the answers.
"""

from __future__ import annotations

import inspect
from collections import Counter
from typing import Any

from lm_eval.api.instance import Instance
from lm_eval.api.model import CacheHook, TemplateLM
from lm_eval.api.registry import register_model
from lm_eval.utils import simple_parse_args_string
from torch import Tensor
from tqdm import tqdm

from flexeval.errors import InputError
from flexeval.lm_harness.arguments import (
    FIELDS,
    read_batch_size,
    read_count,
    read_fields,
    read_generation,
    read_order,
    read_value,
    refuse_unknown,
)
from flexeval.lm_harness.cache import AnswerCache
from flexeval.lm_harness.generation import Generator, Wanted
from flexeval.lm_harness.likelihood import SCORING_FIELDS, Continuation, Likelihood, Scorer, on_canvas, rolling
from flexeval.lm_harness.parallel import Processes
from flexeval.lm_harness.task import SampleInstance
from flexeval.models import load_model
from flexeval.models.checkpoint_predictor import CheckpointPredictor
from flexeval.models.predictor import MaskPredictor
from flexeval.orders import get_order
from flexeval.records import RunConfig, SamplingConfig
from flexeval.sampling import SampleRequest
from flexeval.sampling.engine import run_for_good
from flexeval.sampling.forward import require_exact


@register_model("flexeval")
class FlexevalLM(TemplateLM):  # type: ignore[misc]
    """A mask predictor under a decoding order, as lm-eval asks for one."""

    def __init__(
        self,
        pretrained: str | MaskPredictor = "tiny",
        *,
        order: str = RunConfig.order,
        device: str | None = None,
        dtype: str = "auto",
        batch_size: int | str | None = None,
        max_batch_size: int | None = None,
        trust_remote_code: bool = False,
        attention: str | None = None,
        adapter: str | None = None,
        add_bos_token: bool = False,
        mc_num: int | None = None,
        loglikelihood_gen_length: int | None = None,
        **sampling: Any,
    ) -> None:
        """
        Args:
            pretrained: bundled name, short name, folder, hub id, or a loaded model.
            order: `name`, `name:param=value` or, with several parameters, `name:param=value;param=value`.
            device: None and "auto" take what there is; under `accelerate launch`, this process's share of it.
            dtype: of the weights, as for `flexeval.load_model`.
            batch_size: samples in flight, and canvases scored at a time; "auto" chooses. Changes no answer
                in float32; see `flexeval.sampling.Sampler`.
            max_batch_size: what "auto" stands for, where it is given.
            trust_remote_code: as for `flexeval.load_model`.
            attention: as for `flexeval.load_model`.
            adapter: as for `flexeval.load_model`.
            add_bos_token: begin plain texts with BOS even if the tokenizer does not.
            mc_num: number of draws of LLaDA's Monte Carlo bound, from `seed`; None computes the exact chain.
            loglikelihood_gen_length: generated positions of the canvas that a text is scored on; None gives it as many
                as the text has tokens (LLaDA's evaluation does so). With the sampler's `gen_length`, a text's score is
                what the `ar` order draws it with.
            sampling: fields of `SamplingConfig`, the defaults of all requests.

        Raises:
            InputError: an unknown argument or order, a value of the wrong type, a canvas for scores that leaves no room
                for a context, or as `flexeval.load_model`.
        """
        super().__init__()
        self._order = read_order(order)
        refuse_unknown(sampling, {*FIELDS, *_own_arguments()}, what="model argument", order=self._order)
        self._sampling = read_fields(sampling, what="model argument")
        batch = read_batch_size(batch_size, max_batch_size)
        self._score_length = read_count(loglikelihood_gen_length, "loglikelihood_gen_length")
        self._mc_num = read_count(mc_num, "mc_num")
        self._add_bos = read_value(add_bos_token, bool, what="model argument 'add_bos_token'")

        self._processes = Processes()
        self._predictor = (
            pretrained
            if isinstance(pretrained, MaskPredictor)
            else load_model(
                pretrained,
                device=device if device not in (None, "auto") else self._processes.device,
                dtype=dtype,
                trust_remote_code=read_value(trust_remote_code, bool, what="model argument 'trust_remote_code'"),
                attention=attention,
                adapter=adapter,
            )
        )
        self._codec = _from_checkpoint(self._predictor).codec
        self.tokenizer = self._codec.tokenizer
        self.max_length = self._predictor.max_length
        if self._score_length is not None and self._score_length >= self.max_length:
            raise InputError(
                f"model argument 'loglikelihood_gen_length' must leave room for a context in the {self.max_length} "
                f"positions of {self._predictor.name!r}; use at most {self.max_length - 1}, not {self._score_length}"
            )
        workers = run_for_good(self._predictor)
        self._generator = Generator(self._predictor, batch_size=batch, workers=workers)
        self._scorer = Scorer(
            self._predictor,
            SamplingConfig(
                **{name: value for name, value in self._sampling.items() if name in (*SCORING_FIELDS, "cache")}
            ),
            mc_num=self._mc_num,
            batch_size=batch,
            workers=workers,
        )

    @classmethod
    def create_from_arg_obj(
        cls, arg_dict: dict[str, Any], additional_config: dict[str, Any] | None = None
    ) -> FlexevalLM:
        """A model from lm-eval's model arguments; they override its options --device and --batch_size."""
        options = {name: value for name, value in (additional_config or {}).items() if value is not None}
        return cls(**{**options, **arg_dict})

    @classmethod
    def create_from_arg_string(cls, arg_string: str, additional_config: dict[str, Any] | None = None) -> FlexevalLM:
        """The same from "name=value,name=value"."""
        return cls.create_from_arg_obj(simple_parse_args_string(arg_string), additional_config)

    # ----- text -----

    @property
    def eot_token_id(self) -> int:
        """End of sequence."""
        return self._predictor.eos_id

    @property
    def prefix_token_id(self) -> int:
        """The token that a text without context is conditioned on."""
        bos = self.tokenizer.bos_token_id
        return self.eot_token_id if bos is None else int(bos)

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **_: Any) -> list[int]:
        """Tokens of a text as it stands; BOS comes first if the tokenizer or `add_bos_token` says so."""
        ids = self._codec.tokens_of(string)
        bos = self.tokenizer.bos_token_id
        wanted = self._add_bos or bos in self.tokenizer("")["input_ids"]
        if add_special_tokens is False or bos is None or not wanted or ids[:1] == [bos]:
            return ids
        return [int(bos), *ids]

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        """The conversation as text. Without `add_generation_prompt` it ends in the last turn, to be continued.

        Raises:
            InputError: a model without chat template, or one whose template refuses the conversation.
        """
        begun = "" if add_generation_prompt else chat_history[-1]["content"]
        turns = chat_history if add_generation_prompt else chat_history[:-1]
        return self._codec.chat_text(turns) + begun

    def chat_template(self, chat_template: bool | str = False) -> str | None:
        """The source of the model's template, which lm-eval notes beside its results.

        Raises:
            InputError: a template that is asked for by name.
        """
        if isinstance(chat_template, str):
            raise InputError(
                f"the model flexeval has one chat template, its checkpoint's, and none by name ({chat_template!r}); "
                "write --apply_chat_template without a name"
            )
        source: str | None = super().chat_template(chat_template)
        return source

    @property
    def tokenizer_name(self) -> str:
        """Part of the name of lm-eval's cache of requests."""
        return self._predictor.name.replace("/", "__")

    # ----- generate_until -----

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        """The text of each request, up to the first of its `until`.

        A sample is keyed by problem and sample index; for other tasks than flexeval's by task, document and how often
        the same request came before, so that repeated requests get different samples.

        Raises:
            InputError: a generation argument that is unknown or refused, or a prompt that does not fit.
        """
        self._generator.cache.expect("generate_until", requests)
        seen: Counter[str] = Counter()
        wanted: list[Wanted] = []
        for request in requests:
            context, asked = request.args
            gen_length = None
            if isinstance(request, SampleInstance):
                gen_length = request.gen_length
                problem_id, index = request.problem_id, request.sample_index
                prompt_ids = self._predictor.encode(request.prompt)
            else:
                problem_id = f"{request.task_name}/{request.doc_id}/{request.idx}"
                index = seen[problem_id]
                seen[problem_id] += 1
                prompt_ids = self.tok_encode(context)
            generation = read_generation(
                asked, order=self._order, sampling=self._sampling, gen_length=gen_length, model=self._predictor
            )
            sample = SampleRequest(problem_id=problem_id, sample_index=index, prompt_ids=prompt_ids)
            wanted.append(Wanted(task=request.task_name, generation=generation, request=sample))
        with self._bar(len(wanted), "generate_until", disable_tqdm) as bar:
            return self._generator.texts(wanted, bar.update)

    def set_cache_hook(self, cache_hook: CacheHook) -> None:
        """Called by lm-eval when it opens its cache of answers. Raises InputError for one of another model."""
        super().set_cache_hook(cache_hook)
        if cache_hook.dbdict is not None:
            cache = AnswerCache(cache_hook.dbdict, model=self._predictor.fingerprint.digest)
            self._generator.cache = self._scorer.cache = cache

    # ----- loglikelihood -----

    def loglikelihood(self, requests: list[Instance], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """(log-probability in nats, greedy flag) of each continuation given its context; see `Scorer.score`.

        Raises:
            InputError: context and continuation do not fit into the model's context.
        """
        self._scorer.cache.expect("loglikelihood", requests)
        scores: list[tuple[float, bool]] = super().loglikelihood(requests, disable_tqdm=disable_tqdm)
        return scores

    def _loglikelihood_tokens(
        self,
        requests: list[tuple[tuple[str, str], list[int], list[int]]],
        disable_tqdm: bool = False,
        **_: Any,
    ) -> list[tuple[float, bool]]:
        """The same of texts that are cut into tokens."""
        continuations = [
            on_canvas(context_ids, token_ids, gen_length=self._score_length) for _, context_ids, token_ids in requests
        ]
        scores = self._scores(continuations, "loglikelihood", disable_tqdm)
        return [(score.log_prob, score.greedy) for score in scores]

    def loglikelihood_rolling(self, requests: list[Instance], disable_tqdm: bool = False) -> list[float]:
        """Log-probability in nats of each whole text, in windows of the model's context.

        Raises:
            InputError: a model whose context is too short for two tokens.
        """
        self._scorer.cache.expect("loglikelihood_rolling", requests)
        owners: list[int] = []
        windows: list[Continuation] = []
        for owner, request in enumerate(requests):
            (text,) = request.args
            own = rolling(
                self.tok_encode(text, add_special_tokens=False),
                prefix_id=self.prefix_token_id,
                max_length=self.max_length,
                gen_length=self._score_length,
            )
            windows += own
            owners += [owner] * len(own)
        scores = self._scores(windows, "loglikelihood_rolling", disable_tqdm)
        totals = [0.0] * len(requests)
        for owner, score in zip(owners, scores, strict=True):
            totals[owner] += score.log_prob
        return totals

    def _scores(self, continuations: list[Continuation], what: str, disable_tqdm: bool) -> list[Likelihood]:
        require_exact(SamplingConfig(**self._sampling))
        if get_order(self._order).revises:
            raise InputError(
                f"order {self._order!r} takes tokens back, so no text has a likelihood under it; score texts with "
                "another order, such as order=ar"
            )
        with self._bar(len(continuations), what, disable_tqdm) as bar:
            return self._scorer.score(continuations, lambda _index, _score: bar.update())

    # ----- processes and records -----

    @property
    def rank(self) -> int:
        """Which of the processes this is."""
        return self._processes.rank

    @property
    def world_size(self) -> int:
        """How many processes share the evaluation."""
        return self._processes.size

    @property
    def device(self) -> Any:
        """Where the model is."""
        return self._predictor.device

    def all_gather(self, tensor: Tensor) -> Tensor:
        """The length of every process's list of requests, which is all that lm-eval asks for here.

        It would pad the shorter lists with copies of a request, and tasks that score every repeat would score the
        copies as well. Our forwards never wait for other processes, so each process is told that all lists are as
        long as its own.
        """
        return tensor.repeat(self.world_size)

    def gather_object(self, obj: Any, dst: int = 0) -> list[Any] | None:
        """Everybody's objects, at process `dst`."""
        return self._processes.gather_object(obj, dst)

    def barrier(self) -> None:
        """Wait for the other processes."""
        self._processes.wait()

    def get_model_info(self) -> dict[str, Any]:
        """What lm-eval stores with its results: the settings of requests that say nothing else."""
        return {
            "flexeval": {
                "model": self._predictor.name,
                "dtype": str(self._predictor.dtype).removeprefix("torch."),
                "order": self._order,
                "sampling": self._sampling,
                "mc_num": self._mc_num,
                "loglikelihood_gen_length": self._score_length,
            }
        }

    def _bar(self, total: int, what: str, disable: bool) -> Any:
        return tqdm(total=total, desc=f"Running {what} requests", disable=disable or self.rank != 0)


def _from_checkpoint(predictor: MaskPredictor) -> CheckpointPredictor:
    if not isinstance(predictor, CheckpointPredictor):
        raise TypeError(f"lm-eval needs a model with a tokenizer, from flexeval.load_model, not {predictor!r}")
    return predictor


def _own_arguments() -> set[str]:
    """The names of the model's arguments that are not sampling settings."""
    parameters = inspect.signature(FlexevalLM.__init__).parameters.values()
    return {p.name for p in parameters if p.kind is not p.VAR_KEYWORD} - {"self"}
