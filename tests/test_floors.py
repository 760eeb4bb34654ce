"""Imports point down only, and the law is not in Python."""

from __future__ import annotations

import ast
import re
from graphlib import TopologicalSorter
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent / "geojw"
FLOORS = (
    "process", "wording", "texts", "errors", "terminal",
    "measure", "law", "decide", "intake", "options", "zone", "maps", "figures", "runs",
    "cli", "__init__", "__main__",
)  # fmt: skip
"""What stands directly in the package, from the ground up: folders are the floors, files the words between them."""

MODULES = sorted(PACKAGE.rglob("*.py"))


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


def imports_of(path: Path) -> set[str]:
    """Give the modules of the package that a file imports, also late."""
    known = {name_of(module) for module in MODULES}
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "geojw":
            module = node.module.removeprefix("geojw").removeprefix(".")
            found |= {module} | {f"{module}.{alias.name}".removeprefix(".") for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name.removeprefix("geojw.") for alias in node.names if alias.name.startswith("geojw.")}
    return found & known


def test_every_module_has_a_floor() -> None:
    assert {name_of(path).split(".")[0] for path in MODULES} == set(FLOORS)


def test_imports_point_down_only() -> None:
    level = {name: number for number, name in enumerate(FLOORS)}
    for path in MODULES:
        mine = name_of(path).split(".")[0]
        above = {name for name in imports_of(path) if level[name.split(".")[0]] > level[mine]}
        assert not above, f"{name_of(path)} imports {above} from a floor above"


def test_no_floor_goes_round_in_circles() -> None:
    """Two modules of one floor do not need each other, directly or through others."""
    TopologicalSorter({name_of(path): imports_of(path) for path in MODULES}).prepare()


def test_a_floor_hides_nothing_behind_its_name() -> None:
    for path in PACKAGE.glob("*/__init__.py"):
        (only,) = ast.parse(path.read_text("utf-8")).body
        assert isinstance(only, ast.Expr), path


def test_no_law_and_no_place_in_python() -> None:
    """No threshold, clause, code list, station or town: they are rows."""
    law = re.compile(r"27\.5|\b40\.0|\b3000\b|3_000\.0|第.{1,3}条|虎溪|白市驿|金凤|106\.\d|29\.\d|GB/T|一住两公")
    for path in MODULES:
        docs = [node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Constant)]
        texts = [str(node.value) for node in docs if not _is_docstring(node, path)]
        hits = [text for text in texts if law.search(text)]
        assert not hits, f"{name_of(path)}: {hits}"


def _is_docstring(node: ast.Constant, path: Path) -> bool:
    return isinstance(node.value, str) and ("\n" in node.value or f'"""{node.value}' in path.read_text("utf-8"))
