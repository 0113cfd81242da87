"""Options are the fields of the records: nothing missing, nothing declared twice, nothing that overrides a default."""

from __future__ import annotations

import argparse
import dataclasses
from dataclasses import dataclass
from typing import Literal

import pytest

from flexeval.cli import options
from flexeval.cli.main import main
from flexeval.errors import InputError
from flexeval.models.names import DTYPES
from flexeval.records import RunConfig, SamplingConfig


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One field of each kind."""

    portions: int = 4
    """People."""
    salt: float = 0.5
    """Grams, at most 100 %;
    more is too much."""
    oven: Literal["gas", "electric"] = "gas"
    """Kind."""
    vegan: bool = False
    """No animals."""
    wine: str | None = None
    """To go with it."""


def parsed(*argv: str, record: type = Recipe) -> dict[str, object]:
    parser = argparse.ArgumentParser()
    options.add_fields(parser, record)
    return options.given(parser.parse_args(argv), record)


def test_what_is_not_given_is_not_there() -> None:
    assert parsed() == {}
    assert parsed(record=SamplingConfig) == {}


def test_values_have_the_type_of_their_field() -> None:
    values = parsed("--portions", "2", "--salt", "1", "--oven", "electric", "--vegan", "--wine", "red")
    assert Recipe(**values) == Recipe(portions=2, salt=1.0, oven="electric", vegan=True, wine="red")  # type: ignore[arg-type]
    assert isinstance(values["salt"], float)


def test_none_and_no() -> None:
    assert parsed("--wine", "none", "--no-vegan") == {"wine": None, "vegan": False}


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--portions", "2.5"], "--portions must be a whole number, not '2.5'"),
        (["--salt", "nan"], "--salt must be a number, not 'nan'"),
        (["--oven", "gaz"], "Did you mean 'gas'?"),
    ],
)
def test_values_of_the_wrong_type_name_the_option(argv: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message.replace("?", r"\?")):
        parsed(*argv)


def test_help_is_the_docstring_with_the_default() -> None:
    parser = argparse.ArgumentParser()
    options.add_fields(parser, Recipe, defaults={"wine": "ask"})
    words = " ".join(parser.format_help().split())
    assert "Grams, at most 100 %; more is too much. [default: 0.5]" in words
    assert "To go with it. [default: ask]" in words


@pytest.mark.parametrize("record", [RunConfig, SamplingConfig])
def test_every_setting_says_what_it_is(record: type) -> None:
    settings = {field.name for field in dataclasses.fields(record)} - {"sampling"}
    assert all(options.field_docs(record)[name] for name in settings)


def test_batch_size() -> None:
    assert options.batch_size(argparse.Namespace(batch_size="auto")) is None
    assert options.batch_size(argparse.Namespace(batch_size="7")) == 7
    for bad in ("0", "many"):
        with pytest.raises(InputError, match="--batch-size"):
            options.batch_size(argparse.Namespace(batch_size=bad))


def test_the_help_names_every_type_of_weights(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["passk", "--help"])
    said = " ".join(capsys.readouterr().out.split()).partition("Of the weights: ")[2].partition(".")[0]
    assert set(said.split(", ")) == set(DTYPES)
