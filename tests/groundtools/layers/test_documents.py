"""The examples of the documents are run, block by block, as a reader would."""

import re
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the layers need the extra [layers]")

DOCS = Path(__file__).parents[3] / "docs"


WEIGHTS = pytest.param("tutorial-weights.md", marks=pytest.mark.slow)  # flies and fits an arc


@pytest.mark.parametrize("name", ["layers.md", "tutorial-jiio.md", "tutorial-slew.md", WEIGHTS])
@pytest.mark.verifies("LAY-012")
def test_examples_run_as_printed(name):
    if name == "tutorial-jiio.md":
        pytest.importorskip("sklearn", reason="the digits come with scikit-learn, extra [oracles]")
    text = (DOCS / name).read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    assert blocks
    namespace: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, name, "exec"), namespace)
