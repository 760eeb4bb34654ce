"""Imports point down only, and the law is not in Python."""

from __future__ import annotations

import ast
import re
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent / "geojw"
FLOORS = (
    (
        "exact",
        "texts",
        "wording",
    ),
    (
        "errors",
        "terminal",
    ),
    (
        "catalogue",
        "encoding",
        "folder",
        "fonts",
        "geodesy",
        "journal",
        "packing",
        "safety",
    ),
    (
        "access_list",
        "boundary_rings",
        "cache",
        "cartography",
        "charts",
        "datums",
        "delivery",
        "generalise",
        "mapdata",
        "options",
        "pieces",
        "text_tables",
    ),
    (
        "boundary_points",
        "canvas",
        "coordinates",
        "grid",
        "mapping",
        "mapsites",
        "pagetables",
        "quantity_rows",
        "transformations",
        "vectors",
    ),
    (
        "control_points",
        "formats",
        "index",
        "mapface",
        "maps",
        "pack",
        "signs",
        "suspicion",
    ),
    (
        "notices",
        "quarantine",
        "repair",
        "shares",
        "sheet",
        "slivers",
    ),
    (
        "figures",
        "georeference",
        "near",
        "outlines",
        "tables",
    ),
    ("overlay",),
    (
        "coverage",
        "nearness",
    ),
    (
        "answers",
        "rasters",
    ),
    (
        "counted",
        "cover",
    ),
    ("raster_answers",),
    ("findings",),
    ("screening",),
    (
        "disclosure",
        "intake",
        "quantities",
        "report",
        "tally",
    ),
    (
        "changes",
        "targets",
        "zone",
    ),
    (
        "cleaned",
        "comparison",
        "editions",
    ),
    (
        "inspection",
        "publish",
        "target_tables",
    ),
    (
        "comparison_maps",
        "plates",
        "run",
        "target_maps",
    ),
    (
        "cluster",
        "target_run",
    ),
    ("comparison_run",),
    ("cli",),
    (
        "__init__",
        "__main__",
    ),
)
LEVEL = {name: level for level, names in enumerate(FLOORS) for name in names}


def imports_of(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "geojw":
            parts = node.module.split(".")
            found |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("geojw.")}
    return {name for name in found if name in LEVEL}


def test_every_module_has_a_floor() -> None:
    assert {path.stem for path in PACKAGE.glob("*.py")} == set(LEVEL)


def test_imports_point_down_only() -> None:
    for path in PACKAGE.glob("*.py"):
        above = {name for name in imports_of(path) if LEVEL[name] >= LEVEL[path.stem]}
        assert not above, f"{path.stem} imports {above} from its own floor or above"


def test_no_law_and_no_place_in_python() -> None:
    """No threshold, clause, code list, station or town: they are rows."""
    law = re.compile(r"27\.5|\b40\.0|\b3000\b|3_000\.0|第.{1,3}条|虎溪|白市驿|金凤|106\.\d|29\.\d|GB/T|一住两公")
    for path in PACKAGE.glob("*.py"):
        docs = [node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Constant)]
        texts = [str(node.value) for node in docs if not _is_docstring(node, path)]
        hits = [text for text in texts if law.search(text)]
        assert not hits, f"{path.stem}: {hits}"


def _is_docstring(node: ast.Constant, path: Path) -> bool:
    return isinstance(node.value, str) and ("\n" in node.value or f'"""{node.value}' in path.read_text("utf-8"))
