"""How `make docs` turns the pages of this folder into a site."""

project = "vinsat"
extensions = ["myst_parser", "sphinx.ext.mathjax"]
source_suffix = {".md": "markdown"}
html_theme = "pydata_sphinx_theme"
html_title = "vinsat"
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
exclude_patterns = ["results/*/*"]
