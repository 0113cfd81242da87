"""The tokenizer of the bundled model: byte-level BPE, trained on the generated tasks, that encodes any text.

A word with its leading space is one piece before merging, a whole number of one or two digits (or 100) with
its leading space is another, and the digits of a longer number stay apart. So every word of the tasks and
every number that follows a space is one token, a number looks the same wherever it stands in a text, and
everything else falls into byte pieces that decode to exactly what was encoded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from flexeval.models.tiny.recipe.problems import FACTS, SUDOKU, WORDS, draw_sums
from flexeval.tasks.drawing import Draw

BOS, EOS, MASK = "<|startoftext|>", "<|endoftext|>", "<|mdm_mask|>"
END_OF_TURN = "<|eot_id|>"
SYSTEM, USER, ASSISTANT = "<|system|>", "<|user|>", "<|assistant|>"
SPECIAL_TOKENS = (EOS, BOS, MASK, END_OF_TURN, SYSTEM, USER, ASSISTANT)

LARGEST_VOCABULARY = 1024
"""The corpus runs out of pairs worth merging before this."""
CORPUS_SIZE = 4000
"""Generated problems of each task that the merges are learned from."""

_PIECES = Regex(r" ?(?<!\d)(?:100|\d{1,2})(?!\d)|\d| ?[A-Za-z]+| ?[^\sA-Za-z\d]|\s")

CHAT_TEMPLATE = (
    "{{ bos_token }}"
    "{% for message in messages %}"
    "{% if message['role'] == 'system' %}{{ '<|system|>' }}"
    "{% elif message['role'] == 'user' %}{{ '<|user|>' }}"
    "{% elif message['role'] == 'assistant' %}{{ '<|assistant|>' }}"
    "{% else %}{{ raise_exception('roles are system, user and assistant') }}{% endif %}"
    "{{ message['content'] + '<|eot_id|>' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


def train_tokenizer(corpus: Iterable[str] | None = None) -> PreTrainedTokenizerFast:
    """Learn the merges from generated texts; the same every time. None takes the problems of both tasks of `tiny`."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(_PIECES, behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=LARGEST_VOCABULARY,
        min_frequency=2,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_corpus() if corpus is None else corpus, trainer=trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=BOS,
        eos_token=EOS,
        pad_token=EOS,
        mask_token=MASK,
        additional_special_tokens=[END_OF_TURN, SYSTEM, USER, ASSISTANT],
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
        padding_side="left",
        model_max_length=2048,
    )


def _corpus() -> Iterator[str]:
    """Problems and solutions of both tasks, every small number, each often enough to become one token."""
    for index in range(CORPUS_SIZE):
        problem, solution = replace(WORDS, facts=FACTS[index % len(FACTS)]).draw(f"tokenizer/{index}")
        yield problem.question
        yield solution
        yield solution.replace(". ", ".")  # the first word of a text has no space before it
    problem, solution = SUDOKU.draw("tokenizer")
    for _ in range(100):
        yield problem.question
        yield solution
        yield from draw_sums(Draw("tokenizer"))
        yield "".join(f" {number}" for number in range(101))
        yield ",".join(str(number) for number in range(101))


def prompt_text(question: str) -> str:
    """What the chat template makes of a single user turn, up to where the answer begins."""
    return f"{BOS}{USER}{question}{END_OF_TURN}{ASSISTANT}"
