"""The tokens of a checkpoint: prompts (one BOS, chat template, prefill), text piece by piece, and special tokens."""

from __future__ import annotations

import json
import logging

import pytest
from checkpoints import (
    BOS,
    CHAT_TEMPLATE,
    EOS,
    EOT,
    HEADER_END,
    HEADER_START,
    MASK,
    SPECIAL,
    write_llada,
    write_qwen,
    write_tokenizer,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flexeval.errors import InputError, Note
from flexeval.models import load_model
from flexeval.models.vocabulary import TextCodec, find_special_ids, load_tokenizer
from flexeval.records import Prompt

# A machine that is busy elsewhere must not fail a test of text.
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=60)


def make_codec(folder, *, chat: bool = True, **settings) -> TextCodec:
    write_tokenizer(folder, **settings)
    silent = frozenset(SPECIAL[token] for token in (EOS, EOT, MASK))
    return TextCodec(load_tokenizer(folder), name="a model", chat=chat, silent_ids=silent)


def spell(codec: TextCodec, ids: list[int]) -> str:
    """The ids as text in which special tokens show."""
    names = {value: token for token, value in SPECIAL.items()}
    return "".join(names[token] if token in names else codec.decode([token]) for token in ids)


@pytest.fixture(scope="module")
def codec(tmp_path_factory) -> TextCodec:
    return make_codec(tmp_path_factory.mktemp("tokenizer"))


def test_a_chat_prompt_has_system_user_header_and_prefill(codec):
    ids = codec.encode(Prompt(system="Be brief.", user="1 + 1?", prefill="The answer"))
    assert spell(codec, ids) == (
        f"{BOS}{HEADER_START}system{HEADER_END}\n\nBe brief.{EOT}"
        f"{HEADER_START}user{HEADER_END}\n\n1 + 1?{EOT}"
        f"{HEADER_START}assistant{HEADER_END}\n\nThe answer"
    )


@pytest.mark.parametrize(
    "template",
    [
        CHAT_TEMPLATE,
        CHAT_TEMPLATE.replace("{{ bos_token }}", ""),
        CHAT_TEMPLATE.replace("{{ bos_token }}", "{{ bos_token * 2 }}"),
        None,
    ],
    ids=["template writes it", "tokenizer adds it", "template writes two", "no template"],
)
def test_there_is_exactly_one_bos(tmp_path, template):
    codec = make_codec(tmp_path, chat_template=template)
    ids = codec.encode(Prompt(user="Hello", system="Hi"))
    assert ids[0] == SPECIAL[BOS]
    assert ids.count(SPECIAL[BOS]) == 1


def test_a_prompt_beyond_the_limit_of_the_tokenizer_is_encoded_without_a_warning(tmp_path, caplog):
    """Transformers says that it "will result in indexing errors"; the model's own context is what counts."""
    codec = make_codec(tmp_path, model_max_length=4)
    logger = logging.getLogger("transformers")
    logger.addHandler(caplog.handler)
    try:
        assert len(codec.encode(Prompt(user="Hello"))) > 4
    finally:
        logger.removeHandler(caplog.handler)
    assert not caplog.records


def test_a_tokenizer_without_bos_gets_none(tmp_path):
    codec = make_codec(tmp_path, chat_template=None, bos_token=None)
    assert spell(codec, codec.encode(Prompt(user="Hello"))) == "Hello"


@pytest.mark.parametrize(("chat", "template"), [(True, None), (False, CHAT_TEMPLATE)])
def test_a_base_model_gets_plain_text(tmp_path, chat, template):
    codec = make_codec(tmp_path, chat=chat, chat_template=template)
    ids = codec.encode(Prompt(system="Facts.", user="2 + 2 = ", prefill="4"))
    assert spell(codec, ids) == f"{BOS}Facts.\n\n2 + 2 = 4"
    assert spell(codec, codec.encode(Prompt(user="Once"))) == f"{BOS}Once"


@pytest.mark.parametrize("user", ["", "  \n"])
def test_an_empty_prompt_is_refused(codec, user):
    with pytest.raises(InputError, match="the prompt is empty"):
        codec.encode(Prompt(user=user, system="Be brief."))


def test_a_template_that_refuses_is_reported_in_one_line(tmp_path):
    codec = make_codec(tmp_path, chat_template="{{ raise_exception('no system\nrole') }}")
    with pytest.raises(InputError, match="chat template of 'a model' refuses the prompt: no system role"):
        codec.encode(Prompt(user="Hello"))


def test_a_template_that_leaves_something_out_is_noted(tmp_path, recwarn):
    codec = make_codec(tmp_path, chat_template="{% for m in messages if m.role == 'user' %}{{ m.content }}{% endfor %}")
    codec.encode(Prompt(user="Hello"))
    make_codec(tmp_path).encode(Prompt(user="Hello", system=" Be brief.\n"))
    assert not [warning for warning in recwarn if warning.category is Note]
    with pytest.warns(Note, match="leaves out the user text"):
        make_codec(tmp_path, chat_template="{{ bos_token }}").encode(Prompt(user="Hello"))
    with pytest.warns(Note, match=r"leaves out the system text or changes it; .*--prompt bare"):
        codec.encode(Prompt(user="Hello", system="Be brief."))


THINKING = "{{ bos_token }}{{ 'think' if enable_thinking else 'plain' }} {{ messages[0]['content'] }}"


def test_templates_with_a_thinking_mode_are_asked_without_it(tmp_path):
    codec = make_codec(tmp_path, chat_template=THINKING)
    assert spell(codec, codec.encode(Prompt(user="Hello"))) == f"{BOS}plain Hello"


def test_special_tokens_do_not_show(codec):
    ids = [*codec.encode(Prompt(user="x"))[-3:], SPECIAL[MASK], *map(ord, "ab"), SPECIAL[EOT], SPECIAL[EOS]]
    assert codec.decode([SPECIAL[MASK], SPECIAL[EOS], SPECIAL[EOT]]) == ""
    assert len(codec.pieces(ids)) == len(ids)
    assert codec.pieces(ids)[-2:] == ["", ""]


def test_a_character_of_several_tokens_belongs_to_the_last_of_them(codec):
    ids = codec.encode(Prompt(user="x", prefill="a€b"))[-5:]
    assert codec.decode(ids) == "a€b"
    assert codec.pieces(ids) == ["a", "", "", "€", "b"]


@PATIENT
@given(st.lists(st.integers(0, 261), max_size=30))
def test_pieces_join_to_the_text_for_any_tokens(codec, ids):
    pieces = codec.pieces(ids)
    assert len(pieces) == len(ids)
    assert "".join(pieces) == codec.decode(ids)


@PATIENT
@given(st.text(alphabet="ab €é𝄞👍\ufffd\n", max_size=12))
def test_pieces_join_to_the_text_for_any_text(codec, text):
    start = len(codec.encode(Prompt(user="x")))
    ids = codec.encode(Prompt(user="x", prefill=text))[start:]
    pieces = codec.pieces(ids)
    assert "".join(pieces) == codec.decode(ids)
    # No replacement sign that the text does not have: half a character is not shown.
    assert sum(piece.count("\ufffd") for piece in pieces) == codec.decode(ids).count("\ufffd")


def test_ids_beyond_the_tokenizer_decode_to_nothing(codec):
    assert codec.decode([ord("a"), 270]) == codec.decode([ord("a")])
    assert codec.pieces([270]) == [""]


def test_a_checkpoint_without_tokenizer_speaks_in_ids_only(tmp_path):
    folder = write_llada(tmp_path)
    (folder / "tokenizer.json").unlink()
    model = load_model(str(folder))
    for ask in (lambda: model.encode(Prompt(user="x")), lambda: model.decode([1]), lambda: model.pieces([1])):
        with pytest.raises(InputError, match="has no tokenizer"):
            ask()


def test_an_unreadable_tokenizer_is_one_line(tmp_path):
    folder = write_llada(tmp_path)
    (folder / "tokenizer.json").write_text('{"version": ')
    with pytest.raises(InputError, match="cannot read the tokenizer") as caught:
        load_model(str(folder))
    assert "\n" not in str(caught.value)


@pytest.mark.filterwarnings("ignore:Deprecated in 0.9.0:DeprecationWarning")  # transformers 5.2 about itself
@pytest.mark.parametrize(("mask_id", "readable"), [(5, True), (9, False)])
def test_vocabulary_and_merges_are_read_as_qwens_tokenizer(tmp_path, mask_id, readable):
    (tmp_path / "vocab.json").write_text('{"h": 0, "i": 1, "hi": 2, "\\u0120": 3}')
    (tmp_path / "merges.txt").write_text("#version: 0.2\nh i\n")
    added = {"4": {"content": "<|endoftext|>", "special": True}, str(mask_id): {"content": "<|mask|>", "special": True}}
    config = {"tokenizer_class": "DreamTokenizer", "added_tokens_decoder": added, "mask_token": "<|mask|>"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    if readable:
        tokenizer = load_tokenizer(tmp_path)
        assert tokenizer("hi<|mask|> h", add_special_tokens=False)["input_ids"] == [2, 5, 3, 0]
        assert tokenizer.mask_token_id == mask_id
    else:
        with pytest.raises(InputError, match=r"'<\|mask\|>' is 9 in its files and 5 in transformers"):
            load_tokenizer(tmp_path)


def test_a_template_that_asks_for_the_date_gets_that_of_the_prompt(tmp_path):
    template = "{{ bos_token }}Today is {{ strftime_now('%-d %B %Y %H:%M') }}.{{ messages[-1]['content'] }}"
    codec = make_codec(tmp_path, chat_template=template)
    prompts = (Prompt(user="Hi"), Prompt(user="Hi", date="2025-02-03T04:05"))
    assert [codec.decode(codec.encode(prompt)) for prompt in prompts] == [
        "Today is 1 January 2026 00:00.Hi",
        "Today is 3 February 2025 04:05.Hi",
    ]


# Special tokens


class FakeTokenizer:
    mask_token_id, eos_token_id, pad_token_id = None, 5, 6

    def get_vocab(self):
        return {"<|mask|>": 7, "<|im_end|>": 5}


def test_stop_ids_hold_end_of_sequence_and_end_of_turn(llada_folder):
    model = load_model(str(llada_folder))
    assert model.mask_id == SPECIAL[MASK]
    assert model.eos_id == SPECIAL[EOS]
    assert model.stop_ids == {SPECIAL[EOS], SPECIAL[EOT]}


def test_the_configuration_goes_before_the_tokenizer():
    found = find_special_ids(
        "m", [{"mask_token_id": 1, "eos_token_id": [2, 3]}, {"eos_token_id": 4}], FakeTokenizer(), vocab_size=9
    )
    assert (found.mask, found.eos, found.stop) == (1, 2, {2, 3, 4, 5})


def test_the_family_knows_the_names_of_its_tokens():
    names = {"mask_tokens": ("<|mask|>",), "end_of_turn": "<|im_end|>", "fills_with_pad": True}
    found = find_special_ids("m", [{}], FakeTokenizer(), vocab_size=9, **names)
    assert (found.mask, found.eos, found.stop) == (7, 6, {5, 6})


@pytest.mark.parametrize(
    ("mask", "tokenizers", "names", "noted"),
    [(1, 1, ("<|mask|>",), "7"), (1, 3, ("<|mask|>",), "3, 7"), (7, 7, ("<|mask|>",), None), (1, 1, (), None)],
)
def test_files_that_do_not_agree_on_the_mask_are_noted(recwarn, mask, tokenizers, names, noted):
    """With another token for a mask the texts are nonsense, and so are all numbers."""
    tokenizer = FakeTokenizer()
    tokenizer.mask_token_id = tokenizers
    config = {"mask_token_id": mask}
    found = find_special_ids("m", [config], tokenizer, vocab_size=9, mask_tokens=names)
    assert found.mask == mask
    notes = [str(warning.message) for warning in recwarn if warning.category is Note]
    assert [f"token {mask} is used" in note and f"say {noted};" in note for note in notes] == [True] * bool(noted)


def test_a_mask_token_that_only_the_vocabulary_names_is_found(tmp_path):
    folder = write_llada(tmp_path, mask_token_id=None)
    assert load_model(str(folder)).mask_id == SPECIAL[MASK]


def test_a_checkpoint_without_mask_token_is_refused(tmp_path):
    folder = write_qwen(tmp_path, "a2d-qwen2", mask_token_id=None)
    with pytest.raises(InputError, match="has no mask token"):
        load_model(str(folder))


@pytest.mark.parametrize("name", ["bos_token", "eos_token", "pad_token", "mask_token"])
def test_a_special_token_that_the_vocabulary_lacks_is_refused(tmp_path, name):
    """Transformers would number it behind the others, where embeddings have spare rows."""
    write_tokenizer(tmp_path, **{name: "<|mask|>"})
    with pytest.raises(InputError, match=rf"its {name} '<\|mask\|>' is not in its vocabulary"):
        load_tokenizer(tmp_path)


def test_a_checkpoint_without_end_of_sequence_is_refused(tmp_path):
    folder = write_llada(tmp_path, eos_token_id=None)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(InputError, match="has no end-of-sequence token"):
        load_model(str(folder))


def test_an_id_beyond_the_embedding_is_refused(tmp_path):
    with pytest.raises(InputError, match="names token 126336, but its embedding has only 272 rows"):
        load_model(str(write_llada(tmp_path, mask_token_id=126336)))


@pytest.mark.parametrize(
    ("config", "settings"),
    [
        ({"mask_token_id": 5}, {}),
        ({"mask_token_id": 1, "eos_token_id": [2, 1]}, {}),
        ({"mask_token_id": 6}, {"fills_with_pad": True}),
        ({"mask_token_id": 1, "eos_token_id": 2}, {"end_of_turn": "<|im_end|>"}),
    ],
    ids=["end", "one of the ends", "padding", "end of turn"],
)
def test_a_mask_that_ends_texts_is_refused(config, settings):
    tokenizer = FakeTokenizer()
    tokenizer.get_vocab = lambda: {"<|im_end|>": config["mask_token_id"]}
    with pytest.raises(InputError, match="both as its mask and as what ends its texts"):
        find_special_ids("m", [config], tokenizer, vocab_size=9, **settings)


def test_generation_config_is_asked_too(tmp_path):
    folder = write_llada(tmp_path, eos_token_id=None)
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [SPECIAL[EOT], SPECIAL[EOS]]}))
    assert load_model(str(folder)).eos_id == SPECIAL[EOT]
