"""The table of names, and that reading it costs nothing."""

from __future__ import annotations

import subprocess
import sys

import flexeval.models
from flexeval.models import MODELS


def test_every_name_has_a_summary_and_its_own_place():
    places = {name: MODELS.get(name).repo for name in MODELS}
    assert {name for name, repo in places.items() if repo is None} == {
        "tiny",
        "forks",
        "tiny-block",
    }  # in the folders of their names
    repos = [repo for repo in places.values() if repo is not None]
    assert len(set(repos)) == len(repos)
    assert all(MODELS.summary(name) for name in MODELS)


def test_the_names_of_the_paper_are_there():
    assert {"tiny", "llada-8b-instruct", "llada-8b-base", "llada-1.5", "llada-justgrpo-gsm8k"} <= set(MODELS)


def test_listing_names_imports_no_torch():
    code = (
        "import sys; from flexeval.models import MODELS; [MODELS.summary(name) for name in MODELS];"
        "assert not {'torch', 'transformers'} & set(sys.modules), 'heavy import'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_unknown_attribute_is_an_attribute_error():
    assert not hasattr(flexeval.models, "load_modell")
