"""How `make docs` turns the pages of this folder into a site.

Pages that begin with `file_format: mystnb` are executed; a cell that fails fails the build.
What is generated (`reproduction.md`) lies in `generated/`, made anew by every build.
"""

import os
import sys
from pathlib import Path

from groundtools.results_page import results_page

HERE = Path(__file__).parent

# The cells call `vinsat` and `flightsw`: those beside the Python that builds.
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
os.environ["VINSAT_ROOT"] = str(HERE.parent)

project = "vinsat"
extensions = ["myst_nb", "sphinx.ext.mathjax", "sphinx.ext.autodoc"]
html_theme = "pydata_sphinx_theme"
html_title = "vinsat"
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
exclude_patterns = ["results/*/*", "api_modules.txt"]

nb_execution_mode = os.environ.get("VINSAT_DOCS_EXECUTE", "cache")  # "off": look at the text alone
nb_execution_raise_on_error = True
nb_execution_timeout = 1800  # s, a cell
nb_merge_streams = True
if nb_execution_mode == "off":  # a cell's language is known once it has run
    suppress_warnings = ["myst-nb.lexer"]

autodoc_member_order = "bysource"
autodoc_typehints = "none"


def _as_written(app, what, name, obj, options, lines):
    """Show docstrings as they are written: text with formulas, not markup."""
    lines[:] = ["::", "", *(f"   {line}" for line in lines), ""] if lines else []


def setup(app):
    """Write what is generated, and join the docstrings' hook."""
    generated = HERE / "generated"
    generated.mkdir(exist_ok=True)
    page = generated / "reproduction.md"
    text = results_page(HERE / "results")
    if not page.exists() or page.read_text(encoding="utf-8") != text:
        page.write_text(text, encoding="utf-8")
    app.connect("autodoc-process-docstring", _as_written)
