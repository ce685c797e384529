"""The names of the flight program that others build upon. To write the list anew:

python tests/repo/public_api.py
"""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
SNAPSHOT = Path(__file__).with_name("public_api.txt")


# What others may build upon; the rest of flightsw is its own business.
INTERFACE = (
    "astro.elements",
    "astro.geodesy",
    "astro.propagate",
    "astro.rotation",
    "astro.time",
    "camera.load",
    "camera.model",
    "camera.nadir",
    "camera.project",
    "config",
    "errors",
    "estimate.batch",
    "estimate.observations",
    "estimate.solution",
    "runtime.od",
    "runtime.products",
    "runtime.run",
    "runtime.solution_file",
    "runtime.tables",
    "vision.manifest",
    "vision.models",
    "vision.preprocess",
)


def public_api() -> list[str]:
    """Return one line per public function, class and class member of the interface's modules."""
    lines = []
    for module in INTERFACE:
        path = (ROOT / "flightsw").joinpath(*module.split(".")).with_suffix(".py")
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                lines.append(f"flightsw.{module}.{node.name}({_parameters(node)})")
            elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                lines += [f"flightsw.{module}.{line}" for line in _members(node)]
    return sorted(lines)


def _members(node: ast.ClassDef) -> list[str]:
    lines = [f"{node.name}({', '.join(ast.unparse(base) for base in node.bases)})"]
    for item in node.body:
        if isinstance(item, ast.FunctionDef) and not item.name.startswith("_"):
            lines.append(f"{node.name}.{item.name}({_parameters(item)})")
        elif isinstance(item, ast.AnnAssign) and not ast.unparse(item.target).startswith("_"):
            lines.append(f"{node.name}.{ast.unparse(item.target)}")
        elif isinstance(item, ast.Assign):
            names = [ast.unparse(target) for target in item.targets]
            lines += [f"{node.name}.{name}" for name in names if not name.startswith("_")]
    return lines


def _parameters(node: ast.FunctionDef) -> str:
    """Return the parameters' names with * and / where they stand; no types, no defaults."""
    arguments = node.args
    names = [argument.arg for argument in arguments.posonlyargs]
    if names:
        names.append("/")
    names += [argument.arg for argument in arguments.args]
    if arguments.vararg:
        names.append(f"*{arguments.vararg.arg}")
    elif arguments.kwonlyargs:
        names.append("*")
    names += [argument.arg for argument in arguments.kwonlyargs]
    return ", ".join(name for name in names if name not in ("self", "cls"))


if __name__ == "__main__":
    SNAPSHOT.write_text("\n".join(public_api()) + "\n", encoding="utf-8")
