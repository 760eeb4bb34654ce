"""Floor 4: draw a screening as one page that opens offline; its behaviour is in ``static/map.js``."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
import tomllib
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Any, cast

import folium
import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from branca.element import Figure, Link
from folium.map import CustomPane
from jinja2 import Environment, StrictUndefined

from geojw.errors import CRSError, Fault, OutputError
from geojw.geodesy import ELLIPSOID, AnalysisCRS, Floats, Geometries

Box = tuple[float, float, float, float]
Cell = str | float | int | None

VERDICTS = ("prohibit", "undetermined", "approval", "condition", "supervise", "inform", "clear")
"""Order of drawing and listing: what cannot be decided may be prohibited, so it comes second."""
DECIMALS = 6
"""Decimals of a drawn coordinate in degrees: 0.1 m."""
VERTEX_BUDGET = 50_000
"""Vertices of layers that SVG redraws at ease; above it outlines are simplified, and the page says so."""
CROWD = 2_000
"""Sites above which they are drawn on a canvas, since SVG would zoom in jerks on a phone."""
RING_VERTICES = 360

_STEP = 10.0**-DECIMALS
_TOLERANCES_M = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)
_METRES_A_DEGREE = 111_700.0
"""A degree of latitude at its longest, so that a stated tolerance is never exceeded."""
_EPSG = 4490
_KINDS = ("point", "line", "polygon")
_OUTCOMES = ("hit", "not_evaluable", "no_coverage", "source_failed", "lifted", "clear")
FINDING = (
    *("rule_id", "layer", "outcome", "effect", "measure", "value", "op", "limit", "margin", "margin_unit"),
    *("certainty", "feature_ids", "basis", "says", "remedy", "reason"),
)
_NUMBERS = frozenset({"value", "limit", "margin"})
SITE = ("name", "verdict", "certainty", "decided_by", "area_m2", "at_least", "at_most", "could_become")
_PANES = {"grid": 250, "dimmed": 480, "zone": 490, "rings": 500, "sites": 520, "labels": 590, "symbols": 610}
_LAYER_PANE = 300
_UNTOUCHED = frozenset({"grid", "dimmed", "rings", "labels"})
_STOCK_LINKS = frozenset(name for name, _ in (*folium.Map.default_js, *folium.Map.default_css))
"""What a stock folium map would fetch: Leaflet is vendored, nothing here uses the rest."""
_CONTROLS = r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
_PAINT = {"colour": r"#[0-9a-fA-F]{6}", "dash": r"([0-9.]+([ ,]+[0-9.]+)*)?"}
_CSP_MARK = "content-security-policy"


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
        ``colour`` (#rrggbb), ``opacity`` (0-1), ``weight`` (px), ``dash`` ("6 3"), ``hatch`` (bool).
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

    @property
    def kind(self) -> str:
        """Kind of its geometries: polygon where it has none."""
        return _KINDS[max(shapely.get_dimensions(self.frame.geometry.to_numpy()), default=-1)]

    @property
    def rank(self) -> tuple[int, bool, float]:
        """Where it is drawn: polygons lowest, the large ones first, hatched ones last; lines; points."""
        areas = shapely.area(self.frame.geometry.to_numpy())
        return (
            -_KINDS.index(self.kind),
            bool(self.paint.get("hatch")),
            -float(areas.sum()) / max(1, len(areas)),
        )


def draw_screening(
    sites: gpd.GeoDataFrame,
    findings: pd.DataFrame,
    layers: Sequence[MapLayer],
    *,
    title: str,
    notices: Sequence[str],
    facts: Mapping[str, str],
    lang: str,
    texts: Mapping[str, str],
    bounds: Box,
) -> str:
    """
    Draw a screening as one HTML page that makes no request to any network.

    Parameters
    ----------
    sites
        EPSG:4490, index = site id; columns ``name, verdict, certainty, decided_by, area_m2, at_least,
        at_most, could_become``.
    findings
        One row per site and rule: the columns of ``findings.csv``, and ``reason``.
    layers
        Points are drawn over lines, lines over polygons; of these hatched ones over others, small over large.
    title, notices, facts
        Plain text, shown as it is.
    lang
        ``zh`` or ``en``.
    texts
        The page's texts in that language, keyed as in the table ``map`` of ``texts.toml``, and the words that it
        shares with the tables.
    bounds
        First view: west, south, east, north in degrees, CGCS2000.

    Returns
    -------
    str
        The page; the same arguments give the same text.

    Raises
    ------
    OutputError
        An asset is missing or altered, or a layer cannot be drawn.
    CRSError
        A frame is not in EPSG:4490.
    """
    _check(sites, layers)
    order = {word: i for i, word in enumerate(VERDICTS)}
    ranked = sites.assign(_rank=sites["verdict"].map(order), _id=sites.index).sort_values(["_rank", "_id"])
    west, south, east, north = (round(float(value), DECIMALS) for value in bounds)
    data = {
        "lang": "zh-CN" if lang == "zh" else lang,
        "texts": dict(texts),
        "verdicts": VERDICTS,
        "crowd": CROWD,
        "view": [[south, west], [north, east]],
        "layers": _layers(layers),
        "sites": _sites(ranked),
        "findings": _findings(findings, ranked.index),
    }
    page = data | {
        "t": texts,
        "title": _shown(title),
        "notices": [_shown(notice) for notice in notices],
        "facts": [(_shown(key), _shown(value)) for key, value in facts.items()],
        "counts": sites["verdict"].value_counts().to_dict(),
        "step": (f"{_STEP:.{DECIMALS}f}", f"{_STEP * _METRES_A_DEGREE:.1f}"),
        "data": _json(data),
    }
    return _folium_page(page)


def _folium_page(page: Mapping[str, Any]) -> str:
    """Render the page with a map and its panes; ids are set, not random, so that pages can be compared."""
    figure = _OfflineFigure(page)
    made = folium.Map(page["view"][0], tiles=None, zoom_control=False, font_size="12px", zoom_snap=0.25)
    made._id = "screening"  # noqa: SLF001
    figure.add_child(made)  # a stock Map has made a Figure of its own; this one replaces it
    of_layers = {f"layer{i}": _LAYER_PANE + i for i in range(len(page["layers"]))}
    for name, z_index in (_PANES | of_layers).items():
        pane = CustomPane(name, z_index, pointer_events=name not in _UNTOUCHED)
        pane._id = name  # noqa: SLF001
        pane.add_to(made)
    return figure.render()


class _OfflineFigure(Figure):
    """A figure whose page (``static/page.html``) holds all that it needs and forbids the rest."""

    def __init__(self, page: Mapping[str, object]) -> None:
        super().__init__()
        self.page = page

    def render(self, **kwargs: object) -> str:
        """Render the children, then the page; a link to a foreign asset is an error, never a request."""
        for child in self._children.values():
            child.render(**kwargs)
        head = self.header._children  # noqa: SLF001
        links = [name for name, child in head.items() if isinstance(child, Link)]
        if foreign := sorted(set(links) - _STOCK_LINKS):
            raise OutputError([Fault("map_foreign", "maps", {"names": ", ".join(foreign)})])
        for name in links:
            del head[name]
        parts = {  # the stock viewport forbids zooming; ours does not
            "header": re.sub(r'<meta (name="viewport"|http-equiv)[^>]*>', "", self.header.render(**kwargs)),
            "html": self.html.render(**kwargs),
            "script": self.script.render(**kwargs),
            "styles": [_inlined("vendor/leaflet/leaflet.css"), _inlined("map.css")],
            "scripts": [_inlined("vendor/leaflet/leaflet.js"), _inlined("map.js")],
        }
        template = Environment(autoescape=True, undefined=StrictUndefined).from_string(_asset("page.html"))
        return _with_policy(template.render(**self.page, **parts, csp=_CSP_MARK))


def _with_policy(page: str) -> str:
    """Write the content security policy: the very scripts and styles of this page may run, nothing else."""

    def hashes(tag: str) -> str:
        found = re.findall(rf"<{tag}>(.*?)</{tag}>", page, flags=re.DOTALL)
        digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in found]
        return " ".join(f"'sha256-{digest}'" for digest in dict.fromkeys(digests))

    sources = f"script-src {hashes('script')}; style-src {hashes('style')}"
    return page.replace(_CSP_MARK, f"default-src 'none'; {sources}; base-uri 'none'; form-action 'none'", 1)


def _asset(path: str) -> str:
    """Read a file of ``static``; a vendored one must have the checksum that the manifest states."""
    folder = resources.files("geojw").joinpath("static")
    try:
        content = folder.joinpath(path).read_bytes()
        manifest = tomllib.loads(folder.joinpath("manifest.toml").read_text("utf-8"))
    except FileNotFoundError as error:
        raise OutputError([Fault("map_asset", path)]) from error
    stated = {asset["path"]: asset["sha256"] for asset in manifest["asset"]}
    if path.startswith("vendor/") and hashlib.sha256(content).hexdigest() != stated.get(path):
        raise OutputError([Fault("map_asset", path)])
    return content.decode().replace("\r\n", "\n")  # a browser hashes scripts and styles with bare line feeds


def _inlined(path: str) -> str:
    """Make a style sheet or script fit to stand in a page: it ends no element, and names no other file."""
    text = re.sub(r"(?m)^(//[#@] sourceMappingURL=.*|/\*# sourceMappingURL=.*\*/)$", "", _asset(path))
    if path.endswith(".css"):
        return re.sub(r"url\((?!#)[^)]*\)", "none", text)  # images of controls that no page here uses
    return re.sub(r"</(script)", r"<\\/\1", text, flags=re.IGNORECASE).replace("<!--", r"<\!--")


def _json(data: object) -> str:
    """Write compact JSON that cannot leave its script element."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _shown(value: object) -> str:
    """Give text with unseen characters (controls, marks that turn the writing direction) spelled out."""
    return re.sub(_CONTROLS, lambda found: f"[U+{ord(found[0]):04X}]", str(value))


def _cell(value: Any) -> Cell:  # noqa: ANN401
    """Give a table's cell as JSON can hold it: missing is null, all but numbers is text."""
    if pd.isna(value):
        return None
    value = value.item() if isinstance(value, np.generic) else value
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return cast("float", value) if is_number else _shown(value)


def _check(sites: gpd.GeoDataFrame, layers: Sequence[MapLayer]) -> None:
    """Raise what makes a page impossible, all of it, before anything is drawn."""
    frames = {"sites": sites} | {layer.id: layer.frame for layer in layers}
    crs = {name: frame.crs for name, frame in frames.items()}
    if wrong := {name: found for name, found in crs.items() if found is None or found.to_epsg() != _EPSG}:
        raise CRSError([Fault("map_crs", name, {"crs": found}) for name, found in wrong.items()])
    faults = [
        Fault("map_layer", layer.id, {"key": key, "value": layer.paint.get(key)})
        for layer in layers
        for key, pattern in _PAINT.items()
        if not re.fullmatch(pattern, str(layer.paint.get(key) or ""))
    ]
    if faults:
        raise OutputError(faults)


def _layers(layers: Sequence[MapLayer]) -> list[dict[str, Any]]:
    """Prepare the layers for script and legend, the lowest first."""
    ranked = sorted(layers, key=lambda layer: layer.rank)
    slimmed = _slimmed([_bare(layer.frame) for layer in ranked])
    return [_layer(*each) for each in zip(ranked, *slimmed, strict=True)]


def _layer(layer: MapLayer, geometries: Geometries, tolerance_m: float) -> dict[str, Any]:
    """Prepare one layer: its paint, its features with their columns, its rings."""
    table = layer.frame.drop(columns=layer.frame.geometry.name)
    names = layer.frame.index if layer.label is None else layer.frame[layer.label]
    rows = ((key, *map(_cell, values)) for key, *values in table.itertuples(name=None))
    features = [
        {"id": _shown(key), "label": _cell(name) or _shown(key), "values": values, "geometry": shape}
        for (key, *values), name, shape in zip(rows, names, _geojson(geometries), strict=True)
        if shape is not None
    ]
    return {
        "id": layer.id,
        "title": _shown(layer.title),
        "status": layer.status,
        "source": _shown(layer.source),
        "kind": layer.kind,
        "zone": layer.zone,
        "paint": {"opacity": 0.25, "weight": 1.0, "dash": None, "hatch": False} | dict(layer.paint),
        "named": layer.label is not None,
        "columns": [_shown(column) for column in table.columns],
        "features": features,
        "rings": [*_rings(layer, geometries)],
        "simplified_m": tolerance_m,
        "not_drawn": len(layer.frame) - len(features),
    }


def _bare(frame: gpd.GeoDataFrame) -> Geometries:
    """Drop what cannot be seen: heights, and vertices on straight edges (split for measuring)."""
    return np.asarray(shapely.simplify(shapely.force_2d(frame.geometry.to_numpy()), _STEP / 10))


def _slimmed(geometries: list[Geometries]) -> tuple[list[Geometries], list[float]]:
    """Simplify the large layers for display until all fit the budget; give each layer's tolerance (m)."""
    counts = [int(shapely.get_num_coordinates(shapes).sum()) for shapes in geometries]
    large = [count > VERTEX_BUDGET / 20 for count in counts]
    drawn, tolerance_m = geometries, 0.0
    for step_m in _TOLERANCES_M:
        if sum(int(shapely.get_num_coordinates(shapes).sum()) for shapes in drawn) <= VERTEX_BUDGET:
            break
        tolerance_m, step = step_m, step_m / _METRES_A_DEGREE - 2 * _STEP  # with the rounding: the stated
        pairs = zip(geometries, large, strict=True)
        drawn = [shapely.simplify(shapes, step) if big else shapes for shapes, big in pairs]
    return drawn, [tolerance_m if big else 0.0 for big in large]


def _geojson(geometries: Geometries) -> list[dict[str, Any] | None]:
    """Give GeoJSON geometries, rounded without breaking a polygon; None where there is nothing to draw."""
    shapes = geometries.copy()
    sound = shapely.is_valid(shapes) & ~shapely.is_empty(shapes)
    shapes[sound] = shapely.set_precision(shapes[sound], _STEP)
    lost = sound & shapely.is_empty(shapes)  # too small for the grid: only rounded
    shapes[lost] = geometries[lost]
    shapes = shapely.transform(shapes, lambda xy: np.round(xy, DECIMALS))
    drawable = ~(shapely.is_missing(shapes) | shapely.is_empty(shapes))
    pairs = zip(shapely.to_geojson(shapes), drawable, strict=True)
    return [json.loads(text) if fits else None for text, fits in pairs]


def _rings(layer: MapLayer, geometries: Geometries) -> Iterable[dict[str, Any]]:
    """Give the lines at true distances of the rules: circles round points, one outline round all else."""
    for radius_m in sorted({*layer.ring_m, *layer.ring_only}):
        meant = layer.frame.index if radius_m in layer.ring_m else [*layer.ring_only[radius_m]]
        chosen = geometries[layer.frame.index.isin(meant) & (shapely.get_num_coordinates(geometries) > 0)]
        if layer.kind == "point" or not len(chosen):
            lines = [_circle(lon, lat, radius_m) for lon, lat in shapely.get_coordinates(chosen)]
        else:
            west, south, east, north = shapely.total_bounds(chosen)
            local = AnalysisCRS((west + east) / 2, (south + north) / 2)
            reach = shapely.buffer(local.project(chosen, layer.frame.crs), radius_m, quad_segs=RING_VERTICES // 4)
            outline = local.to_geographic(np.array([shapely.union_all(reach).boundary]))
            lines = [shapely.get_coordinates(line) for line in shapely.get_parts(shapely.simplify(outline, _STEP))]
        yield from ({"m": radius_m, "at": line[:, ::-1].round(DECIMALS).tolist()} for line in lines)


def _circle(lon: float, lat: float, radius_m: float) -> Floats:
    """Walk a closed circle on the ellipsoid, clockwise from its north: longitudes and latitudes."""
    azimuths = np.linspace(0.0, 360.0, RING_VERTICES + 1)
    start = np.full((3, len(azimuths)), [[lon], [lat], [radius_m]])
    return np.column_stack(ELLIPSOID.fwd(start[0], start[1], azimuths, start[2])[:2])


def _sites(sites: gpd.GeoDataFrame) -> list[dict[str, Any]]:
    """List the sites, each with a point on it for its symbol."""
    geometries = _bare(sites)
    spots = shapely.point_on_surface(geometries)
    at = np.column_stack([shapely.get_y(spots), shapely.get_x(spots)]).round(DECIMALS)
    where = zip(sites.index, at, shapely.get_dimensions(geometries), _geojson(geometries), strict=True)
    rows = sites[list(SITE)].itertuples(index=False, name=None)
    return [
        {"id": _shown(key), "at": [*map(_cell, spot)], "kind": _KINDS[dimension], "geometry": shape}
        | dict(zip(SITE, map(_cell, row), strict=True))
        for (key, spot, dimension, shape), row in zip(where, rows, strict=True)
    ]


def _findings(findings: pd.DataFrame, site_ids: Iterable[object]) -> dict[str, Any]:
    """Code the findings for the page: per site its rows, hits first; texts as numbers of a list of texts."""
    order = {word: i for i, word in enumerate((*VERDICTS, *_OUTCOMES))}
    ranks = {name: findings[name[1:]].map(order) for name in ("_outcome", "_effect")}
    ranked = findings.assign(**ranks).sort_values([*ranks, "rule_id"], kind="stable")
    strings: dict[str, int] = {}

    def coded(name: str, value: Cell) -> Cell:
        return value if value is None or name in _NUMBERS else strings.setdefault(str(value), len(strings))

    rows: dict[object, list[list[Cell]]] = {key: [] for key in site_ids}
    for key, *values in ranked[["site_id", *FINDING]].itertuples(index=False, name=None):
        rows[key].append([*map(coded, FINDING, map(_cell, values))])
    return {"columns": FINDING, "numbers": sorted(_NUMBERS), "rows": [*rows.values()], "strings": [*strings]}
