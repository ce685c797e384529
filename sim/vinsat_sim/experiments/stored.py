"""Results of long runs, one JSON each, told from altered ones and from those of another recipe.

    with Store("mpc", recipe) : docs/results/mpc/KEY.json holds {recipe, result}
    index.json holds the SHA-256 of every file
A recipe is a string of all that a result depends on besides the program.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parents[3] / "docs" / "results"
INDEX = "index.json"


@dataclass(frozen=True, slots=True)
class Store:
    """A folder of results."""

    folder: Path

    @classmethod
    def named(cls, name: str) -> "Store":
        """Return the store of docs/results/NAME."""
        return cls(RESULTS / name)

    def get(self, key: str, recipe: str) -> dict[str, Any] | None:
        """Return a whole result of this recipe, or None."""
        path = self.folder / f"{key}.json"
        if not path.is_file() or self._index().get(path.name) != _sha256(path):
            return None
        content = json.loads(path.read_text(encoding="utf-8"))
        result: dict[str, Any] = content["result"]
        return result if content["recipe"] == recipe else None

    def put(self, key: str, recipe: str, result: dict[str, Any]) -> dict[str, Any]:
        """Store a result and its hash; return it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{key}.json"
        _write(path, {"recipe": recipe, "result": result})
        index = self._index()
        index[path.name] = _sha256(path)
        _write(self.folder / INDEX, dict(sorted(index.items())))
        return result

    def _index(self) -> dict[str, str]:
        path = self.folder / INDEX
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _write(path: Path, content: dict[str, Any]) -> None:
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    temporary.replace(path)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
