"""`pip install tiersim` installs what the package imports; what an extra installs is imported where it is asked for."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).parents[1]
OWN = {"simulator", "pydantic_core", "PIL"}  # pydantic and matplotlib need these themselves


def test_each_library_that_is_imported_is_a_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = {_name(each) for each in project["dependencies"]}
    distributions = packages_distributions()
    for file in (ROOT / "simulator").rglob("*.py"):
        for module in _imported(file) - sys.stdlib_module_names - OWN:
            assert named & {_name(each) for each in distributions[module]}, f"{file.name} imports {module}"


def _imported(file: Path) -> set[str]:
    """The packages that a file imports, by `import` and `from`."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add(str(node.module).partition(".")[0])
    return found


def _name(requirement: str) -> str:
    return re.split(r"[^\w.-]", requirement)[0].lower().replace("_", "-")
