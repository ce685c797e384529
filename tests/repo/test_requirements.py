"""Every requirement of docs/requirements.md is verified by a test, and every id exists."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
REQUIREMENT = re.compile(r"^- \*\*([A-Z]{2,4}-\d{3})\*\* (.+)$", re.MULTILINE)


def stated() -> dict[str, str]:
    """Return the requirements by id."""
    pairs = REQUIREMENT.findall((ROOT / "docs" / "requirements.md").read_text(encoding="utf-8"))
    assert len(pairs) == len(dict(pairs)), "an id is stated twice"
    return dict(pairs)


def verified() -> dict[str, list[str]]:
    """Return the ids that tests claim to verify, and where; read from the source."""
    found: dict[str, list[str]] = {}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.verifies":
                for argument in node.args:
                    assert isinstance(argument, ast.Constant), f"{path}:{node.lineno}: write the id as text"
                    found.setdefault(str(argument.value), []).append(f"{path.name}:{node.lineno}")
    return found


def test_every_requirement_is_verified_by_a_test():
    unverified = sorted(set(stated()) - set(verified()))
    assert not unverified, f"no test verifies {unverified}"


def test_every_verified_id_is_a_requirement():
    unknown = {name: where for name, where in verified().items() if name not in stated()}
    assert not unknown, f"not in docs/requirements.md: {unknown}"


def test_every_requirement_is_a_shall_sentence():
    for name, sentence in stated().items():
        assert " shall " in sentence, name
        assert sentence.endswith("."), name
