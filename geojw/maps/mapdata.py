"""What the script of a map's page is given: layers and rules, packed."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from geojw.errors import Fault, OutputError
from geojw.maps.packing import Packing
from geojw.measure.geodesy import AnalysisCRS, Geometries

Cell = str | float | int | None
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

VERDICTS = ("prohibit", "undetermined", "approval", "condition", "supervise", "inform", "clear")
"""Order of drawing and listing: what cannot be decided may be prohibited, so it comes second."""
VERTEX_BUDGET = 50_000
"""Vertices that SVG redraws at ease; layers above it go to canvas tiles, the heaviest first."""
SLIM_BUDGET = 200_000
"""Vertices of all layers that canvas tiles redraw at ease; above it outlines are simplified, and the page says so."""
LAYER_LIMIT = 600_000
"""Vertices of all layers above which no page is built."""
RING_VERTICES = 360
_SEEN_STEPS = 10
"""Side of the smallest overlap that can be seen, in steps of the grid."""

_TOLERANCES_M = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)
_METRES_A_DEGREE = 111_700.0
"""A degree of latitude at its longest, so that a stated tolerance is never exceeded."""
_KINDS = ("point", "line", "polygon")
_CONTROLS = r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"


@dataclass(frozen=True)
class Coverage:
    """
    Where the page may say that a layer has nothing.

    Parameters
    ----------
    layer
        Id of the layer within whose polygons it may; None is everywhere.
    beyond_m
        How far beyond them too.
    known
        False: nowhere.
    """

    layer: str | None = None
    beyond_m: float = 0.0
    known: bool = True


@dataclass(frozen=True)
class MapLayer:
    """
    One layer as drawn.

    Parameters
    ----------
    id
        The layer's id, as findings name it.
    title
        In the page's language.
    frame
        EPSG:4490, index = feature id; only the columns that may be shown.
    label
        Column that names a feature; its id does where this is None or the cell is empty.
    paint
        ``colour`` (#rrggbb), ``opacity`` (0-1), ``weight`` (px), ``dash`` ("6 3"), ``hatch`` (bool, or ``"cross"``).
    status
        ``official``, ``open`` or ``synthetic``.
    source
        One line: publisher, date, licence.
    ring_m
        Distance limits in metres of the rules on this layer: a line is drawn at that true distance.
    zone
        The zone's own outline: drawn as a line, everything outside it dimmed.
    ring_only
        Limits that hold for some features only: limit -> their ids.
    group
        Heading in the legend; layers without one come last.
    shown
        Whether it is switched on at first.
    note
        What else its reader must know.
    ids_shown
        Whether the index may be shown; else it only tells features apart.
    precision_m, accuracy_m
        How far the drawn outlines are from the source, measured, and how far the source is from the ground, stated;
        None is unknown.
    adrift
        Ids of features that are somewhere in their geometry.
    coverage
        Where the page may say that there is nothing.
    release
        Who let this audience see it, and when.
    names_en
        English names by label; where there is one it stands before the label.
    shades
        Classes of a figure, for the legend: what each says and how strongly it is filled.
    shade
        Id -> number of its class.
    labelled
        Whether its areas carry their names at every zoom.
    """

    id: str
    title: str
    frame: gpd.GeoDataFrame
    label: str | None
    paint: Mapping[str, object]
    status: str
    source: str
    ring_m: tuple[float, ...] = ()
    zone: bool = False
    ring_only: Mapping[float, Collection[Hashable]] = field(default_factory=dict)
    group: str | None = None
    shown: bool = True
    note: str | None = None
    ids_shown: bool = True
    precision_m: float | None = None
    accuracy_m: float | None = None
    adrift: Collection[Hashable] = ()
    coverage: Coverage = Coverage(known=False)
    release: str | None = None
    names_en: Mapping[str, str] = field(default_factory=dict)
    shades: Sequence[tuple[str, float]] = ()
    shade: Mapping[Hashable, int] = field(default_factory=dict)
    labelled: bool = False

    @property
    def kind(self) -> str:
        """Kind of its geometries: the lowest that there is (a point of unknown position is a polygon)."""
        return _KINDS[min((d for d in shapely.get_dimensions(self.frame.geometry.to_numpy()) if d >= 0), default=2)]

    @property
    def rank(self) -> tuple[int, bool, float]:
        """Where it is drawn: polygons lowest, the large ones first, hatched ones last; lines; points."""
        areas = shapely.area(self.frame.geometry.to_numpy())
        return (
            -_KINDS.index(self.kind),
            bool(self.paint.get("hatch")),
            -float(areas.sum()) / max(1, len(areas)),
        )


@dataclass(frozen=True)
class MapRule:
    """
    One rule in force, for the list of rules.

    Parameters
    ----------
    id, layer, effect, says, basis, measure, op, limit
        As in the tables.
    who
        The projects that it governs, in words; empty is all.
    kept, perhaps
        Ids of the features that its filter keeps, surely or perhaps; None is all of the layer.
    """

    id: str
    layer: str
    effect: str
    says: str
    basis: str
    measure: str
    op: str
    limit: float
    who: str = ""
    kept: Collection[Hashable] | None = None
    perhaps: Collection[Hashable] = ()


def shown(value: object) -> str:
    """Give text with unseen characters (controls, marks that turn the writing direction) spelled out."""
    return re.sub(_CONTROLS, lambda found: f"[U+{ord(found[0]):04X}]", str(value))


def cell(value: Any) -> Cell:  # noqa: ANN401 - a table's cell
    """Give a table's cell as JSON can hold it: missing is null, all but numbers is text."""
    if pd.isna(value):
        return None
    value = value.item() if isinstance(value, np.generic) else value
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return cast("float", value) if is_number else shown(value)


def json_text(data: object) -> str:
    """Write compact JSON that cannot leave its script element."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


# ---------------------------------------------------------------------------------------------- layers


def packed_layers(layers: Sequence[MapLayer], packing: Packing) -> list[dict[str, Any]]:
    """
    Prepare the layers for script and legend, the lowest first.

    Raises
    ------
    OutputError
        They have more vertices than a page can hold: names the heaviest and what to do.
    """
    ranked = sorted(layers, key=lambda layer: layer.rank)
    slimmed, tolerances_m = _slimmed([bare(layer.frame, packing) for layer in ranked], packing)
    counts = [int(shapely.get_num_coordinates(shapes).sum()) for shapes in slimmed]
    if sum(counts) > LAYER_LIMIT:
        heaviest = ranked[counts.index(max(counts))]
        fields = {"count": f"{max(counts):,}", "limit": f"{LAYER_LIMIT:,}"}
        raise OutputError([Fault("map_layer_heavy", heaviest.id, fields)])
    on_canvas = _heavy(counts)
    each = zip(ranked, slimmed, tolerances_m, on_canvas, strict=True)
    return [_layer(layer, shapes, packing) | {"simplified_m": t, "canvas": c} for layer, shapes, t, c in each]


def _overlap(geometries: Geometries, packing: Packing) -> bool:
    """Tell whether polygons of a layer lie on one another by more than the rounding: drawn one by one they darken."""
    areas = geometries[(shapely.area(geometries) > 0.0) & shapely.is_valid(geometries)]
    first, second = shapely.STRtree(areas).query(areas, predicate="intersects")
    first, second = first[first < second], second[first < second]
    shared = shapely.area(shapely.intersection(areas[first], areas[second]))
    return bool((shared > (_SEEN_STEPS * packing.step) ** 2).any())


def _heavy(counts: Sequence[int]) -> list[bool]:
    """Pick the layers that go to canvas tiles: the heaviest, until the rest is within the budget of SVG."""
    out, left = [False] * len(counts), sum(counts)
    for at in sorted(range(len(counts)), key=lambda at: -counts[at]):
        if left <= VERTEX_BUDGET:
            break
        out[at] = True
        left -= counts[at]
    return out


def _layer(layer: MapLayer, geometries: Geometries, packing: Packing) -> dict[str, Any]:
    """Prepare one layer: its paint, its features with their columns, its rings."""
    table = layer.frame.drop(columns=layer.frame.geometry.name)
    names = layer.frame.index if layer.label is None else layer.frame[layer.label]
    rows = ((key, *map(cell, values)) for key, *values in table.itertuples(name=None))
    adrift = set(layer.adrift)
    features = [
        {"id": shown(key) if layer.ids_shown else None, "label": _label(name, key, layer.names_en), "values": values}
        | {"geometry": shape} | ({"adrift": True} if key in adrift else {})
        | ({"shade": layer.shades[layer.shade[key]][1]} if key in layer.shade else {})
        for (key, *values), name, shape in zip(rows, names, packing.packed(geometries), strict=True)
        if shape is not None
    ]  # fmt: skip
    return {
        "id": layer.id,
        "title": shown(layer.title),
        "status": layer.status,
        "source": shown(layer.source),
        "note": None if layer.note is None else shown(layer.note),
        "release": None if layer.release is None else shown(layer.release),
        "group": layer.group,
        "shown": layer.shown,
        "kind": layer.kind,
        "zone": layer.zone,
        "paint": {"opacity": 0.25, "weight": 1.0, "dash": None, "hatch": False} | dict(layer.paint),
        "named": layer.label is not None,
        "labelled": layer.labelled,
        "shades": [(shown(text), opacity) for text, opacity in layer.shades],
        "columns": [shown(column) for column in table.columns],
        "features": features,
        "rings": [*_rings(layer, geometries, packing)],
        "overlaps": _overlap(geometries, packing),
        "not_drawn": len(layer.frame) - len(features),
        "precision_m": layer.precision_m,
        "accuracy_m": layer.accuracy_m,
        "coverage": {"layer": layer.coverage.layer, "beyond_m": layer.coverage.beyond_m, "known": layer.coverage.known},
    }


def _label(name: object, key: object, names_en: Mapping[str, str]) -> Cell:
    """Name a feature: by its label, after its English name where there is one; else by its id."""
    label = cell(name)
    english = names_en.get(str(label))
    return f"{shown(english)} {label}" if english else label or shown(key)


def packed_rules(rules: Sequence[MapRule], layers: Sequence[MapLayer]) -> list[dict[str, Any]]:
    """Prepare the rules; features by their position among those drawn."""
    frames = {layer.id: layer.frame[~(layer.frame.geometry.isna() | layer.frame.is_empty)] for layer in layers}

    def positions(layer: str, ids: Collection[Hashable] | None) -> list[int] | None:
        if ids is None or layer not in frames:
            return None
        found = frames[layer].index.get_indexer(pd.Index([*ids]))
        return sorted(int(at) for at in found if at >= 0)

    return [
        {
            "id": shown(rule.id), "layer": rule.layer, "effect": rule.effect, "says": shown(rule.says),
            "basis": shown(rule.basis), "measure": rule.measure, "op": rule.op, "limit": rule.limit,
            "who": shown(rule.who), "kept": positions(rule.layer, rule.kept),
            "perhaps": positions(rule.layer, rule.perhaps) or [],
        }
        for rule in rules
    ]  # fmt: skip


def bare(frame: gpd.GeoDataFrame, packing: Packing) -> Geometries:
    """Drop what cannot be seen: heights, and vertices on straight edges (split for measuring)."""
    return np.asarray(shapely.simplify(shapely.force_2d(frame.geometry.to_numpy()), packing.step / 10))


def _slimmed(geometries: list[Geometries], packing: Packing) -> tuple[list[Geometries], list[float]]:
    """Simplify the large layers for display until all fit the budget; give each layer's tolerance (m)."""
    counts = [int(shapely.get_num_coordinates(shapes).sum()) for shapes in geometries]
    large = [count > SLIM_BUDGET / 20 for count in counts]
    drawn, tolerance_m = geometries, 0.0
    for step_m in _TOLERANCES_M:
        if sum(int(shapely.get_num_coordinates(shapes).sum()) for shapes in drawn) <= SLIM_BUDGET:
            break
        step = step_m / _METRES_A_DEGREE - 2 * packing.step  # with the rounding: the stated
        if step <= 0.0:
            continue
        tolerance_m = step_m
        pairs = zip(geometries, large, strict=True)
        drawn = [shapely.simplify(shapes, step) if big else shapes for shapes, big in pairs]
    return drawn, [tolerance_m if big else 0.0 for big in large]


def _rings(layer: MapLayer, geometries: Geometries, packing: Packing) -> Iterable[dict[str, Any]]:
    """Give the lines at true distances of the rules: circles round points, one outline round all else."""
    for radius_m in sorted({*layer.ring_m, *layer.ring_only}):
        meant = layer.frame.index if radius_m in layer.ring_m else [*layer.ring_only[radius_m]]
        adrift = layer.frame.index.isin([*layer.adrift])
        chosen = geometries[layer.frame.index.isin(meant) & (shapely.get_num_coordinates(geometries) > 0) & ~adrift]
        points = np.flatnonzero(layer.frame.index[_drawn(geometries)].isin(meant) & (_dimensions(geometries) == 0))
        if len(points):  # the script walks these circles itself, round the points as drawn
            yield {"m": radius_m, "of": points.tolist()}
        chosen = chosen[shapely.get_dimensions(chosen) > 0]
        if len(chosen):
            west, south, east, north = shapely.total_bounds(chosen)
            local = AnalysisCRS((west + east) / 2, (south + north) / 2)
            reach = shapely.buffer(local.project(chosen, layer.frame.crs), radius_m, quad_segs=RING_VERTICES // 4)
            outline = local.to_geographic(np.array([shapely.union_all(reach).boundary]))
            parts = shapely.get_parts(shapely.simplify(outline, packing.step / 2))
            yield from ({"m": radius_m, "at": packing.line(shapely.get_coordinates(part))} for part in parts)


def _drawn(geometries: Geometries) -> Bools:
    return ~(shapely.is_missing(geometries) | shapely.is_empty(geometries))


def _dimensions(geometries: Geometries) -> Ints:
    return np.asarray(shapely.get_dimensions(geometries[_drawn(geometries)]))
