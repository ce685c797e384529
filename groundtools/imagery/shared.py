"""Where larger data that do not belong to the repository may be found."""

import os
from pathlib import Path

ENVIRONMENT_VARIABLE = "VINSAT_DATA"


def shared_data_dir() -> Path | None:
    """Return the folder of shared data, or None where this machine has none.

    The folder is named by the environment variable VINSAT_DATA; absent that, it is
    `../shared/data` beside the repository. Nothing in the project needs it: tests and
    studies that do are skipped with a reason when it is None.
    """
    named = os.environ.get(ENVIRONMENT_VARIABLE)
    if named:
        path = Path(named)
    else:
        path = Path(__file__).resolve().parents[3] / "shared" / "data"
    return path if path.is_dir() else None
