"""What follows once the pictures are there: labels and cards."""

from pathlib import Path


def finish(out: Path, models: Path) -> None:
    """Write labels and cards of a data set."""
