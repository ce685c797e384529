import pytest

from flightsw.errors import InputError
from vinsat_sim.scenario import SCENARIOS, load_scenario

DEMO = (SCENARIOS / "demo.toml").read_text(encoding="utf-8")


@pytest.mark.verifies("SIM-102")
def test_the_demo_scenario_flies_six_hours_and_asks_for_two_passes():
    scenario = load_scenario("demo")
    assert scenario.duration_s == 6 * 3600.0
    assert scenario.cadence_s == 10.0
    assert scenario.passes.required == 2
    assert scenario.pointing_offset_max_deg <= 0.5
    assert scenario.days[0] < scenario.days[1]


@pytest.mark.parametrize(
    ("was", "becomes", "field"),
    [
        ("duration_h = 6.0", "duration_h = 0.0", "duration_h"),
        ("duration_h = 6.0", "duration_hours = 6.0", "duration_hours"),
        ('"2025-01-01"', '"1st of May"', "first_day"),
        ('"2025-12-31"', '"2024-12-31"', "last_day"),
        ("[0.2, 0.6]", "[0.6, 0.2]", "cloud_cover"),
        ("[550.0, 650.0]", "[150.0, 650.0]", "orbit[0].altitude_km"),
        ("jpeg_quality = 90", "jpeg_quality = 900", "jpeg_quality"),
    ],
)
def test_a_wrong_scenario_is_refused_with_the_key_that_is_wrong(tmp_path, was, becomes, field):
    path = tmp_path / "wrong.toml"
    assert was in DEMO
    path.write_text(DEMO.replace(was, becomes, 1), encoding="utf-8")
    with pytest.raises(InputError) as caught:
        load_scenario(path)
    assert caught.value.field == field
    assert str(path) in str(caught.value)
