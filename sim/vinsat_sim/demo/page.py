"""The one-page report of a demo: one HTML file with everything in it, for any browser."""

import base64
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment

from vinsat_sim.demo.story import Story

TEMPLATE = Path(__file__).with_name("page.html")


@dataclass(frozen=True, slots=True)
class Plate:
    """One picture on the page: a JPEG or PNG and what it shows."""

    content: bytes
    caption: str

    @property
    def source(self) -> str:
        """The picture as a data address, so that the page needs no other file."""
        kind = "png" if self.content.startswith(b"\x89PNG") else "jpeg"
        return f"data:image/{kind};base64,{base64.b64encode(self.content).decode('ascii')}"


def write_page(path: Path, *, story: Story, picture: Plate, frames: list[Plate], command: str) -> None:
    """Write the page; it names the command that makes it again."""
    template = Environment(autoescape=True).from_string(TEMPLATE.read_text(encoding="utf-8"))
    rows = [(name.replace("_", " "), _shown(value)) for name, value in story.as_json().items()]
    text = template.render(story=story, picture=picture, frames=frames, rows=rows, command=command)
    path.write_text(text, encoding="utf-8")


def _shown(value: object) -> str:
    if value is None:
        return "none"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
