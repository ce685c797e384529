"""The page of stored results: every check of every entry in docs/results, as its command printed it."""

import json
from pathlib import Path
from typing import Any

HEAD = """# What was measured

Made from the files of `docs/results/` by the documents' build; nothing here is typed by hand. "Asked" is
the threshold, a dash where a figure is only reported; the interval is of 95 % where there is one. What the
figures mean, and what has not been run: [results](../results/README.md).
"""

TABLE = ("| what | measured | interval | asked | met |", "|---|---|---|---|---|")


def results_page(folder: Path) -> str:
    """Return the page, in Markdown."""
    entries = []
    for path in sorted(folder.rglob("*.json")):
        entry = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(entry, dict) and isinstance(entry.get("checks"), list) and "id" in entry:
            entries.append((path.relative_to(folder).as_posix(), entry))
    met = sum(bool(entry["passed"]) for _, entry in entries)
    lines = [HEAD, f"{len(entries)} stored results; {met} meet all that is asked of them.\n"]
    for name, entry in entries:
        lines += _section(name, entry)
    return "\n".join(lines) + "\n"


def _section(name: str, entry: dict[str, Any]) -> list[str]:
    seeds = entry.get("seeds") or []
    about = f"`{entry.get('command', '')}`; stored in `docs/results/{name}`; seeds: {_seeds(seeds)}"
    lines = [
        f"## {entry['id']}\n",
        f"{about}.\n",
        "| what | measured | interval | asked | met |",
        "|---|---|---|---|---|",
    ]
    for check in entry["checks"]:
        low, high = check.get("low"), check.get("high")
        interval = "" if low is None or high is None else f"{_number(low)} to {_number(high)}"
        asked = check.get("threshold")
        met = "" if asked is None else ("yes" if check["passed"] else "**no**")
        what = str(check["name"]).replace("|", "\\|")
        lines.append(f"| {what} | {_number(check['value'])} | {interval} | {asked or '-'} | {met} |")
    machine = entry.get("machine")
    shown = (
        ", ".join(f"{key} {value}" for key, value in machine.items())
        if isinstance(machine, dict)
        else machine
    )
    return [*lines, "", f"Machine: {shown or 'not stored'}.\n"]


def _seeds(seeds: list[Any]) -> str:
    if not seeds:
        return "none"
    return f"{seeds[0]} to {seeds[-1]} ({len(seeds)})" if len(seeds) > 3 else ", ".join(map(str, seeds))


def _number(value: object) -> str:
    if value is None:
        return "nothing to measure"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:.4g}"
