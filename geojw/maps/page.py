"""Draw a zone or a screening as one page that opens offline; its behaviour is in ``static/*.js``."""

from __future__ import annotations

import base64
import hashlib
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Any
from unicodedata import east_asian_width

import folium
import geopandas as gpd
import pandas as pd
from branca.element import Figure, Link
from folium.map import CustomPane
from jinja2 import Environment, StrictUndefined

from geojw.errors import CRSError, Fault, OutputError
from geojw.maps.mapdata import VERDICTS, MapLayer, MapRule, json_text, packed_layers, packed_rules, shown
from geojw.maps.mapsites import CROWD, MANY, packed_findings, packed_sites
from geojw.maps.packing import Packing
from geojw.maps.pagetables import PageTable, packed_tables

Box = tuple[float, float, float, float]

DECIMALS = 6
"""Decimals of a drawn coordinate in degrees, where no audience asks for fewer: 0.1 m."""
ROUGH_DECIMALS = 5
"""Where a page has many sites: 1 m."""
PAGE_LIMIT = 15_000_000
"""Characters of a page that a browser opens from a file at ease."""

_METRES_A_DEGREE = 111_700.0
_MARK_PX = (15, 22)
"""Width of a narrow and a wide letter of the mark, with room; its size is in ``static/map.css``."""
_EPSG = 4490
_PANES = {
    "grid": 250,
    "dimmed": 480,
    "zone": 490,
    "rings": 500,
    "sites": 520,
    "focus": 530,
    "labels": 590,
    "symbols": 610,
    "frame": 620,
}
_LAYER_PANE = 300
_UNTOUCHED = frozenset({"grid", "dimmed", "rings", "labels", "focus", "frame"})
_STOCK_LINKS = frozenset(name for name, _ in (*folium.Map.default_js, *folium.Map.default_css))
"""What a stock folium map would fetch: Leaflet is vendored, nothing here uses the rest."""
_VENDORED = (
    "vendor/leaflet/leaflet.js",
    "vendor/geographiclib/geographiclib-geodesic.min.js",
    "vendor/gcoord/gcoord.js",
)
_SCRIPTS = (
    "words",
    "store",
    "geodesy",
    "layers",
    "sites",
    "cards",
    "rules",
    "table",
    "figures",
    "check",
    "tools",
    "paper",
    "start",
)
"""Our own scripts, in order: together they are one function."""
_PAINT = {"colour": r"#[0-9a-fA-F]{6}", "dash": r"([0-9.]+([ ,]+[0-9.]+)*)?"}
_CSP_MARK = "content-security-policy"
_TILES = "https://*.tianditu.gov.cn"
_GAODE = "https://*.is.autonavi.com"


@dataclass(frozen=True)
class Face:
    """
    How a page shows itself.

    Parameters
    ----------
    audience
        ``internal``, ``department`` or ``public``: what is said at the top.
    decimals
        Of a drawn coordinate in degrees.
    mark
        Printed across the map, as 未经审图.
    review
        审图号.
    centre
        Of the zone's analysis CRS: longitude, latitude.
    rules, absent
        The rules in force, and layers that are not on the page: id, title, why (``withheld`` or ``failed``).
    check
        Whether a reader can ask about a place of their own.
    sliver_m2
        Overlaps up to this may count as nothing.
    tianditu
        Key of 天地图; the page carries it.
    gaode
        Whether 高德 tiles are offered, shifted to where they belong.
    findings_file
        Name of the table of findings beside the page.
    split
        Scripts and styles in files of a folder ``assets``.
    tables
        Figures that stand above the legend.
    """

    audience: str = "internal"
    decimals: int = DECIMALS
    mark: str | None = None
    review: str | None = None
    centre: tuple[float, float] = (0.0, 0.0)
    rules: Sequence[MapRule] = ()
    absent: Sequence[tuple[str, str, str]] = ()
    check: bool = False
    sliver_m2: float = 0.0
    tianditu: str | None = None
    gaode: bool = False
    findings_file: str | None = None
    split: bool = False
    tables: Sequence[PageTable] = ()

    @property
    def images(self) -> str:
        """Where the page may fetch images from."""
        return " ".join([*([_TILES] if self.tianditu else []), *([_GAODE] if self.gaode else [])])


@dataclass(eq=False)
class Drawn:
    """A page, and the files that it needs beside it (none unless it was split)."""

    page: str
    assets: Mapping[str, bytes] = field(default_factory=dict)


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
    face: Face = Face(),
) -> Drawn:
    """
    Draw a screening, or a zone without sites, as one HTML page that makes no request to any network.

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
    face
        How the page shows itself.

    Returns
    -------
    Drawn
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
    rough = len(sites) > MANY
    decimals = min(face.decimals, ROUGH_DECIMALS) if rough else face.decimals
    west, south, east, north = (round(float(value), decimals) for value in bounds)
    packing = Packing(decimals, round(west * 10**decimals), round(south * 10**decimals))
    data = {
        "lang": "zh-CN" if lang == "zh" else lang,
        "texts": dict(texts),
        "title": shown(title),
        "verdicts": VERDICTS,
        "view": [[south, west], [north, east]],
        "packing": {"decimals": packing.decimals, "west": packing.west, "south": packing.south},
        "layers": packed_layers(layers, packing),
        "sites": packed_sites(ranked, packing),
        "findings": packed_findings(findings, [*ranked.index], face.rules, rough=rough),
        "rough": rough,
        "rules": packed_rules(face.rules, layers),
        "absent": [{"id": name, "title": shown(title), "why": why} for name, title, why in face.absent],
        "notices": [shown(notice) for notice in notices],
        "facts": [(shown(key), shown(value)) for key, value in facts.items()],
        **{key: getattr(face, key) for key in ("audience", "mark", "review", "centre", "check", "sliver_m2", "gaode")},
        **{key: getattr(face, key) for key in ("tianditu", "findings_file")},
    }
    data["tables"] = packed_tables(face.tables, data["layers"], [*ranked.index])
    page = data | {
        "t": texts,
        "groups": _groups(layers, data["layers"]),
        "counts": sites["verdict"].value_counts().to_dict(),
        "step": (f"{packing.step:.{packing.decimals}f}", f"{packing.step * _METRES_A_DEGREE:.1g}"),
        "mark_px": sum(_MARK_PX[east_asian_width(letter) in "WFA"] for letter in face.mark or "") + 60,
        "crowd": CROWD,
        "many": MANY,
        "data": json_text(data),
    }
    drawn = _folium_page(page, face)
    if len(drawn.page) > PAGE_LIMIT:
        fields = {"size": f"{len(drawn.page) / 1e6:.1f}", "limit": f"{PAGE_LIMIT / 1e6:.0f}"}
        raise OutputError([Fault("map_page_heavy", "sites" if len(sites) > MANY else "layers", fields)])
    return drawn


def _groups(layers: Sequence[MapLayer], drawn: Sequence[Mapping[str, Any]]) -> list[tuple[str | None, list[int]]]:
    """Give the legend's headings with the numbers of their layers, in the order given; without a heading last."""
    number = {layer["id"]: at for at, layer in enumerate(drawn)}
    titles = sorted(dict.fromkeys(layer.group for layer in layers), key=lambda title: title is None)
    return [(title, [number[layer.id] for layer in layers if layer.group == title]) for title in titles]


def _folium_page(page: Mapping[str, Any], face: Face) -> Drawn:
    """Render the page with a map and its panes; ids are set, not random, so that pages can be compared."""
    figure = _OfflineFigure(page, face)
    made = folium.Map(page["view"][0], tiles=None, zoom_control=False, font_size="12px", zoom_snap=0.25)
    made._id = "screening"  # noqa: SLF001
    figure.add_child(made)  # a stock Map has made a Figure of its own; this one replaces it
    of_layers = {f"layer{i}": _LAYER_PANE + i for i in range(len(page["layers"]))}
    for name, z_index in (_PANES | of_layers).items():
        pane = CustomPane(name, z_index, pointer_events=name not in _UNTOUCHED)
        pane._id = name  # noqa: SLF001
        pane.add_to(made)
    return Drawn(figure.render(), figure.assets)


class _OfflineFigure(Figure):
    """A figure whose page (``static/page.html``) holds all that it needs and forbids the rest."""

    def __init__(self, page: Mapping[str, object], face: Face) -> None:
        super().__init__()
        self.page, self.face = page, face
        self.assets: dict[str, bytes] = {}

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
        ours = '(() => {\n"use strict";\n' + "".join(_inlined(f"{name}.js") for name in _SCRIPTS) + "})();\n"
        parts = {  # the stock viewport forbids zooming; ours does not
            "header": re.sub(r'<meta (name="viewport"|http-equiv)[^>]*>', "", self.header.render(**kwargs)),
            "html": self.html.render(**kwargs),
            "script": self.script.render(**kwargs),
            "styles": [self._part("leaflet", "css", _inlined("vendor/leaflet/leaflet.css")),
                       self._part("map", "css", _inlined("map.css"))],
            "scripts": [self._part(path.split("/")[1], "js", _inlined(path)) for path in _VENDORED],
            "ours": self._part("map", "js", ours),
        }  # fmt: skip
        template = Environment(autoescape=True, undefined=StrictUndefined).from_string(_asset("page.html"))
        return self._with_policy(template.render(**self.page, **parts, csp=_CSP_MARK))

    def _part(self, stem: str, kind: str, text: str) -> str:
        """Give the element of a script or style: all of it, or in the second mode its place in ``assets``."""
        tag = "style" if kind == "css" else "script"
        if not self.face.split:
            return f"<{tag}>{text}</{tag}>"
        content = text.encode()
        path = f"assets/{stem}.{hashlib.sha256(content).hexdigest()[:10]}.{kind}"
        self.assets[path] = content
        return f'<link rel="stylesheet" href="{path}">' if kind == "css" else f'<script src="{path}"></script>'

    def _with_policy(self, page: str) -> str:
        """Write the content security policy: the very scripts and styles of this page may run, nothing else."""

        def hashes(tag: str) -> str:
            found = re.findall(rf"<{tag}>(.*?)</{tag}>", page, flags=re.DOTALL)
            digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in found]
            return " ".join(
                [*(["'self'"] if self.face.split else []), *(f"'sha256-{d}'" for d in dict.fromkeys(digests))]
            )

        sources = f"script-src {hashes('script')}; style-src {hashes('style')}"
        images = f"; img-src {self.face.images}" if self.face.images else ""
        return page.replace(_CSP_MARK, f"default-src 'none'; {sources}{images}; base-uri 'none'; form-action 'none'", 1)


def _asset(path: str) -> str:
    """Read a file of ``static``; a vendored one must have the checksum that the manifest states."""
    folder = resources.files("geojw.maps").joinpath("static")
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
