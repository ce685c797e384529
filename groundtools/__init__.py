"""Everything on the ground: imagery, landmarks, training, export, products, the command."""

from pathlib import Path


def models_folder() -> Path:
    """Return the models that belong to this program: models/ of the repository, else ./models."""
    here = Path(__file__).resolve().parents[1] / "models"
    return here if here.is_dir() else Path("models")
