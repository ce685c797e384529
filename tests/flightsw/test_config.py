from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flightsw.config import load_toml, parse_toml
from flightsw.errors import InputError


@dataclass(frozen=True, slots=True)
class Engine:
    thrust_n: float
    count: int = 1

    def __post_init__(self) -> None:
        if self.thrust_n <= 0.0:
            raise InputError("must be positive", field="thrust_n", fix="give newtons")


@dataclass(frozen=True, slots=True)
class Craft:
    name: str
    engine: Engine
    mode: Literal["safe", "fast"] = "safe"
    armed: bool = False
    spin_rad_s: float | None = None
    axis: tuple[float, float, float] = (0.0, 0.0, 1.0)
    spares: tuple[Engine, ...] = ()
    limits: dict[str, float] = field(default_factory=dict)


GOOD = """
name = "c"
mode = "fast"
armed = true
axis = [1, 0, 0]
limits = { speed_m_s = 3, height_m = 2.5 }
[engine]
thrust_n = 2
[[spares]]
thrust_n = 1.5
count = 2
"""


@pytest.mark.verifies("RUN-012")
def test_a_table_becomes_the_dataclass() -> None:
    craft = parse_toml(GOOD, Craft)
    assert craft == Craft(
        name="c",
        engine=Engine(2.0),
        mode="fast",
        armed=True,
        axis=(1.0, 0.0, 0.0),
        spares=(Engine(1.5, 2),),
        limits={"speed_m_s": 3.0, "height_m": 2.5},
    )
    assert isinstance(craft.axis[0], float)


@pytest.mark.verifies("RUN-012")
@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("thrust_n = 2", "thrust = 2", "engine.thrust: is an unknown key; did you mean thrust_n?"),
        ("thrust_n = 2", "", "engine.thrust_n: is missing; add thrust_n = 1.0"),
        ("thrust_n = 2", "thrust_n = true", "engine.thrust_n: must be a number, got True"),
        ("thrust_n = 2", 'thrust_n = "2"', "engine.thrust_n: must be a number, got '2'"),
        ("thrust_n = 2", "thrust_n = nan", "engine.thrust_n: must be a finite number, got nan"),
        ("thrust_n = 2", "thrust_n = 1" + "0" * 400, "engine.thrust_n: must be a finite number, got 1000"),
        ("thrust_n = 2", "thrust_n = -2", "engine.thrust_n: must be positive; give newtons"),
        ("thrust_n = 1.5", "thrust_n = 0", "spares[0].thrust_n: must be positive; give newtons"),
        ("count = 2", "count = 2.0", "spares[0].count: must be an integer, got 2.0"),
        ("count = 2", "count = 99999999999999999999", "spares[0].count: is too large an integer"),
        ("armed = true", "armed = 1", "armed: must be true or false, got 1"),
        ('name = "c"', "name = 3", 'name: must be text in "quotes", got 3'),
        ('name = "c"', "name = 2020-01-01", 'name: must be text in "quotes"'),
        ('mode = "fast"', 'mode = "slow"', "mode: must be one of 'safe', 'fast', got 'slow'"),
        ("[1, 0, 0]", "[1, 0]", "axis: has 2 elements; give exactly 3"),
        ("[1, 0, 0]", '[1, 0, "z"]', "axis[2]: must be a number, got 'z'"),
        ("[1, 0, 0]", "1", "axis: must be an array, got 1"),
        ("speed_m_s = 3", 'speed_m_s = "3"', "limits.speed_m_s: must be a number"),
        ("[engine]", "[motor]", "motor: is an unknown key"),
        ("armed = true", "armed = true\narmed = true", "is not TOML: Cannot overwrite a value"),
        ("armed = true", "armed", "is not TOML: "),
    ],
)
def test_a_mistake_is_named_by_its_key_path(old: str, new: str, message: str) -> None:
    assert old in GOOD
    with pytest.raises(InputError) as caught:
        parse_toml(GOOD.replace(old, new), Craft, file="craft.toml")
    assert str(caught.value).startswith(f"craft.toml: {message}")
    assert "\n" not in str(caught.value)


@pytest.mark.verifies("RUN-001")
def test_arrays_nested_without_end_are_refused() -> None:
    with pytest.raises(InputError, match="is nested too deeply"):
        parse_toml("a = " + "[" * 100_000, Craft)


@pytest.mark.verifies("RUN-002")
def test_a_toml_file_of_a_gigabyte_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    with path.open("wb") as file:
        file.truncate(1_000_000_000)
    with pytest.raises(InputError, match="is too large"):
        load_toml(path, Craft)


@pytest.mark.verifies("RUN-013")
@settings(deadline=None, derandomize=True)
@given(st.text(max_size=300))
def test_any_text_gives_a_value_or_an_input_error(text: str) -> None:
    try:
        assert isinstance(parse_toml(text, Craft), Craft)
    except InputError:
        pass  # the other outcome


@pytest.mark.verifies("RUN-013")
@settings(deadline=None, derandomize=True)
@given(st.data())
def test_any_mutation_of_a_good_file_gives_a_value_or_an_input_error(data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(GOOD)))
    stop = data.draw(st.integers(start, min(start + 20, len(GOOD))))
    piece = data.draw(
        st.one_of(st.text(max_size=8), st.sampled_from(["nan", "1e999", "true", "[]", "{}", "'"]))
    )
    message = ""
    try:
        assert isinstance(parse_toml(GOOD[:start] + piece + GOOD[stop:], Craft), Craft)
    except InputError as error:
        message = str(error)
    assert "\n" not in message
