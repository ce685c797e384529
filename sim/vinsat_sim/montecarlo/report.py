"""A campaign as one HTML file without outside requests; two campaigns side by side."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from groundtools.imagery.geotiff_write import write_durably
from groundtools.jobs import writing
from vinsat_sim.montecarlo.outcome import Outcome
from vinsat_sim.montecarlo.store import SCENARIO, Campaign
from vinsat_sim.montecarlo.summary import DEFINITIONS, LIMITS_KM, SOLVABILITY, Share, Summary

REPORT = "report.html"
TEMPLATE = Path(__file__).with_name("report.html")


@dataclass(frozen=True, slots=True)
class Column:
    """What the page shows of one campaign: words, figures (SVG) and rows of its tables."""

    name: str
    about: str
    headline: str
    wrong: int
    curves: str
    errors: str
    passes: str
    within: list[tuple[str, list[str]]]
    solvability: list[tuple[str, int]]
    by_passes: list[list[str]]
    honesty: list[tuple[str, str]]
    worst: list[tuple[str, list[str]]]
    quarantined: list[tuple[int, str]]


def write_report(path: Path, campaigns: list[tuple[Campaign, Summary]]) -> None:
    """Write the page of one or two campaigns. Raises UsageError where the disk refuses."""
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_durably(path, page(campaigns).encode())


def page(campaigns: list[tuple[Campaign, Summary]]) -> str:
    """Return the page; the element `numbers` of it holds what `--json` prints of each campaign."""
    from jinja2 import Environment

    numbers = json.dumps([summary.as_json() for _, summary in campaigns]).replace("<", "\\u003c")
    template = Environment(autoescape=True).from_string(TEMPLATE.read_text(encoding="utf-8"))
    columns = [_column(campaign, summary) for campaign, summary in campaigns]
    title = " beside ".join(column.name for column in columns)
    folders = " ".join(str(campaign.folder) for campaign, _ in campaigns)
    return template.render(
        title=title, columns=columns, limits=[f"{km:g} km" for km in LIMITS_KM], numbers=numbers,
        command=f"vinsat sim report {folders}",
    )  # fmt: skip


def _column(campaign: Campaign, summary: Summary) -> Column:
    from vinsat_sim.montecarlo.figures import draw_curves, draw_errors, draw_passes

    scenario = campaign.scenario
    last = summary.within["last image"][-1]
    return Column(
        name=f"{scenario.title or campaign.folder.name} ({campaign.level})",
        about=(
            f"{summary.trials} satellites, {scenario.duration_h:g} h each, an image every"
            f" {scenario.cadence_s:g} s; recipe {campaign.recipe}"
        ),
        headline=(
            f"{_percent(last)} are within 5 km at the last image; "
            f"{_percent(summary.determined)} were called determined, {summary.wrong.count} of them wrongly."
        ),
        wrong=summary.wrong.count,
        curves=draw_curves(summary),
        errors=draw_errors(summary),
        passes=draw_passes(summary),
        within=[(name, [_percent(share) for share in summary.within[name]]) for name in DEFINITIONS],
        solvability=list(zip(SOLVABILITY, summary.solvability)),
        by_passes=[
            [
                one.passes, str(one.trials), str(one.determined), str(one.solved),
                _km(one.median_km), _km(one.p90_km), _km(one.end_median_km),
            ]
            for one in summary.by_passes
        ],
        honesty=_honesty(summary),
        worst=[_worst(campaign, one) for one in summary.worst],
        quarantined=list(summary.quarantined),
    )  # fmt: skip


def _honesty(summary: Summary) -> list[tuple[str, str]]:
    rows = [
        ("wrong: called determined, off by more than 5 km or 5 sigma", _percent(summary.wrong)),
        ("mean NEES of position and velocity, solved cases (6 is honest)", _number(summary.nees_mean)),
        ("median NEES (5.35 is honest)", _number(summary.nees_median)),
        ("positions inside the 99 % ellipsoid", _percent(summary.nees_inside_99)),
    ]
    if summary.frames:
        rows.append(
            ("frames looked at; of them without any landmark", f"{summary.frames}; {summary.blind_frames}")
        )
        rows.append(("fixes claimed where there is no landmark", str(summary.false_fixes)))
    return rows


def _worst(campaign: Campaign, one: Outcome) -> tuple[str, list[str]]:
    """Return the replay line of a trial and its cells."""
    scenario = campaign.folder / SCENARIO
    replay = f"vinsat sim trial {scenario} --level {campaign.level} --seed {one.seed}"
    word = "wrong" if one.wrong else "false fix" if one.false_fixes else one.status
    cells = [str(one.seed), word, str(one.usable_passes), _km(one.error_last_image_km)]
    return replay, [*cells, _km(one.sigma_last_image_km)]


def _percent(share: Share) -> str:
    """Return a share and its interval, in percent."""
    if share.value is None or share.interval is None:
        return "none"
    low, high = share.interval
    return f"{100.0 * share.value:.1f} % [{100.0 * low:.1f}, {100.0 * high:.1f}]"


def _km(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


def _number(value: Any) -> str:
    return "" if value is None else f"{value:.2f}"
