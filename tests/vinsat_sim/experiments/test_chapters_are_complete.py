"""Every table and figure of chapters 3, 4 and 8 has its entry: R, S, or N with the reason."""

import pytest

from groundtools import registry

TABLES = ("t3.1", "t3.2", "t3.3", "t3.4", "t3.5", "t3.6", "t3.7", "t3.8", "t4.1", "t4.2", "t4.3", "t8.1")
FIGURES = (
    *(f"f3.{k}" for k in range(2, 11)),
    *(f"f4.{k}" for k in range(3, 13)),
    *(f"f8.{k}" for k in range(2, 13)),
)
OTHERS = ("jiio-memory", "mpc-time", "mpc-slew", "ba-cost")
NOT_HERE = ("t3.1", "t3.7", "t4.1", "t4.2", "t4.3", "f8.11", "t8.1")


@pytest.mark.verifies("LAY-010")
def test_every_item_of_the_chapters_is_an_entry():
    entries = registry.registered(registry.REPRODUCTIONS)
    assert not set(TABLES + FIGURES + OTHERS) - set(entries)


@pytest.mark.verifies("LAY-010")
def test_every_entry_says_its_class_and_its_own_id():
    pytest.importorskip("torch", reason="the entries need the extra [layers]")
    entries = registry.registered(registry.REPRODUCTIONS)
    for name in TABLES + FIGURES + OTHERS:
        entry = entries[name].load()
        assert entry.id == name
        assert entry.title[:3] in ("R: ", "S: ", "N: "), entry.title
        assert (entry.title[0] == "N") == (name in NOT_HERE)


def test_what_cannot_be_measured_here_says_why_and_does_not_pass():
    entries = registry.registered(registry.REPRODUCTIONS)
    for name in NOT_HERE:
        report = entries[name].load().report("quick")
        assert not report.passed
        assert len(str(report.checks[0].value)) > 20
