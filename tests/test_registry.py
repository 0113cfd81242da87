"""Names: aliases, lazy targets, plug-ins, and answers to unknown ones."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Literal

import pytest
from distributions import install

from flexeval.errors import InputError, did_you_mean
from flexeval.registry import Registry, build, format_spec, parse_spec


def test_names_and_aliases_lead_to_the_same_object():
    registry: Registry[object] = Registry("thing")
    target = object()
    registry.register("one", target, aliases=("uno", "ein"), summary="the first")
    assert registry.get("one") is registry.get("uno") is registry.get("ein") is target
    assert registry.canonical("ein") == "one" and registry.aliases("one") == ("uno", "ein")
    assert list(registry) == ["one"] and "uno" in registry and "two" not in registry
    assert registry.summary("one") == "the first"


def test_a_target_named_by_text_is_imported_on_first_use(tmp_path, monkeypatch):
    (tmp_path / "lazy_target.py").write_text("value = {'imported': True}\n")
    monkeypatch.syspath_prepend(tmp_path)
    registry: Registry[dict] = Registry("thing")
    registry.register("lazy", "lazy_target:value")
    assert "lazy" in registry and "lazy_target" not in sys.modules
    assert registry.get("lazy") == {"imported": True}
    assert registry.get("lazy") is registry.get("lazy")


def test_a_class_that_is_defined_again_takes_the_place_of_the_one_before():
    registry: Registry[type] = Registry("thing")
    one, again, other = (type(name, (), {"__module__": "__main__"}) for name in ("Mine", "Mine", "Other"))
    for kind in (one, again):
        registry.register("mine", kind, aliases=("my",))
        assert registry.get("mine") is registry.get("my") is kind
    for taken, kind in (("mine", other), ("yours", again)):
        with pytest.raises(ValueError, match="already taken"):
            registry.register(taken, kind, aliases=("my",))
    assert registry.get("my") is again


def test_a_taken_name_is_an_error_that_names_both():
    registry: Registry[str] = Registry("thing")
    registry.register("one", "a:b", aliases=("uno",))
    for taken in ("one", "uno"):
        with pytest.raises(ValueError, match=r"'a:b'.*'c:d'"):
            registry.register(taken, "c:d")
    with pytest.raises(ValueError, match=r"'a:b'.*'c:d'"):
        registry.register("other", "c:d", aliases=("uno",))
    assert "other" not in registry


def test_an_unknown_name_answers_with_the_close_ones():
    registry: Registry[int] = Registry("thing")
    registry.register("confidence", 1, aliases=("low_confidence",))
    registry.register("entropy", 2)
    with pytest.raises(
        InputError, match=r"unknown thing: 'confidense'. Did you mean 'confidence'.* Known: confidence, e"
    ):
        registry.get("confidense")
    with pytest.raises(InputError) as refusal:
        registry.get("zzz")
    assert "Did you mean" not in str(refusal.value)


def test_other_distributions_add_their_own(tmp_path, monkeypatch):
    code = (
        "from dataclasses import dataclass\n"
        "from flexeval.orders import Order, take_highest\n"
        "@dataclass(frozen=True)\n"
        "class RightToLeft(Order):\n"
        "    stride: int = 1\n"
        "    name = 'right_to_left'\n"
        "    def __call__(self, state):\n"
        "        import numpy as np\n"
        "        places = np.broadcast_to(np.arange(state.eligible_BG.shape[1]), state.eligible_BG.shape)\n"
        "        return take_highest(places.astype(float), state.eligible_BG, state.budget_B)\n"
    )
    install(tmp_path, "their-package", code, {"flexeval.orders": "right_to_left = their_package:RightToLeft"})
    monkeypatch.syspath_prepend(tmp_path)
    from oracles import RandomOracle

    import flexeval
    from flexeval import orders

    fresh: Registry[type[orders.Order]] = Registry("order", entry_point_group="flexeval.orders")
    monkeypatch.setattr(orders, "ORDERS", fresh)
    assert "right_to_left" in fresh and fresh.summary("right_to_left") == "from their-package"
    assert orders.get_order("right_to_left:stride=2").spec == "right_to_left:stride=2"
    config = flexeval.SamplingConfig(gen_length=4)
    [[sample]] = flexeval.sample(RandomOracle(words=5), ["dog"], order="right_to_left", config=config)
    assert sample.trajectory.commit_step_G.tolist() == [3, 2, 1, 0]


@dataclass(frozen=True)
class Settings:
    """One field of each type that a spec may hold."""

    count: int = 1
    share: float = 0.5
    loud: bool = False
    mode: Literal["up", "down"] = "up"
    limit: int | None = None
    title: str = "x"


def test_a_spec_builds_what_it_formats():
    settings = Settings(count=3, share=0.25, loud=True, mode="down", limit=7, title="abc")
    spec = format_spec("it", settings)
    assert spec == "it:count=3,share=0.25,loud=true,mode=down,limit=7,title=abc"
    name, params = parse_spec(spec)
    assert name == "it" and build(Settings, params, owner="it") == settings
    assert format_spec("it", Settings()) == "it"
    assert build(Settings, {"limit": "none", "loud": "off"}, owner="it") == Settings()


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"cuont": "1"}, "unknown parameter of it: 'cuont'. Did you mean 'count'"),
        ({"count": "1.5"}, "parameter 'count' of it must be a whole number, not '1.5'"),
        ({"share": "half"}, "parameter 'share' of it must be a number, not 'half'"),
        ({"loud": "maybe"}, "parameter 'loud' of it must be true or false, not 'maybe'"),
        ({"mode": "dwn"}, "Did you mean 'down'"),
    ],
)
def test_a_bad_parameter_gets_one_line(params, says):
    with pytest.raises(InputError) as refusal:
        build(Settings, params, owner="it")
    assert says in str(refusal.value) and "\n" not in str(refusal.value)


@pytest.mark.parametrize("spec", ["it:", "it:count", "it:=3", "it:count=", "it:count=1,count=2"])
def test_a_malformed_spec_gets_one_line(spec):
    with pytest.raises(InputError) as refusal:
        parse_spec(spec)
    assert "\n" not in str(refusal.value) and "it" in str(refusal.value)


def test_nothing_known_is_said_so():
    assert "(none)" in str(did_you_mean("thing", "x", []))
