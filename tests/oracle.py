"""A second, slow and plain implementation of the rules of a zone pack: the oracle of the tests.

It is written from ``DESIGN.md`` ("How a rule is evaluated", "Faults", "Attributes") and
``docs/zone-pack.md`` alone, shares no line with the package and imports nothing of it. One site at a time,
all features at a time, unsplit unions, no index. Where the two disagree, one of them is wrong.

Numbers in comments, as in "(7)", are the points of "How a rule is evaluated". ``True``, ``False`` and
``None`` stand for true, false and unknown. Shapes are in the zone's own plane (Lambert azimuthal equal area
on the CGCS2000 ellipsoid, metres) unless a name says otherwise. The second half, from ``random_pack`` on,
writes random zone packs to compare implementations on.

Rasters (``cover_share``) are in ``oracle_cells.py``: each cell a polygon, nothing shared with the package's own cover.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import pyproj
import shapely
from oracle_cells import Cells
from pyproj.crs import ProjectedCRS
from pyproj.crs.coordinate_operation import LambertAzimuthalEqualAreaConversion
from shapely.geometry import (
    GeometryCollection,
    LinearRing,
    LineString,
    MultiLineString,
    MultiPoint,
    MultiPolygon,
    Point,
    Polygon,
    box,
)
from shapely.geometry.base import BaseGeometry
from shapely.ops import nearest_points

CGCS2000 = "EPSG:4490"
LONGEST_EDGE_GEOGRAPHIC_M = 100.0
LONGEST_EDGE_PROJECTED_M = 300.0
SLIVER_SHARE = 0.01
SLIVER_M_DEFAULT = 0.1
QUARTER_SEGMENTS = 64  # of the kept union grown and shrunk (11)
QUARTER_SEGMENTS_FINE = 512  # of discs that decide: 1.2e-6 of the radius short, 4 mm at 3 km
TOUCH_M = 1e-6  # a line or point nearer than this to an edge lies on it, and touching is not overlapping
WRITTEN_M2 = 5e-5  # half of the last written digit: less is written as 0
WRITTEN_M = 5e-4
BEND_M = 1e-5  # how far edges that two neighbours share may part when projected
TIE_M = 1e-6

EFFECTS = ("clear", "inform", "supervise", "condition", "approval", "prohibit")  # mildest first
UNKNOWN_OUTCOMES = ("no_coverage", "source_failed", "not_evaluable")
AREA, LENGTH, INSIDE = 2, 1, 0  # dimension of a site
KIND_OF_TYPE = {
    "Polygon": "polygon",
    "MultiPolygon": "polygon",
    "LineString": "line",
    "MultiLineString": "line",
    "LinearRing": "line",
    "Point": "point",
    "MultiPoint": "point",
}
DIMENSION_OF_KIND = {"polygon": AREA, "line": LENGTH, "point": INSIDE}

Truth = bool | None
Row = Mapping[str, Any]


@dataclass(frozen=True)
class OracleResult:
    """What the oracle says.

    Parameters
    ----------
    findings
        ``site_id, rule_id, layer, outcome, effect, measure, value, certainty, margin, sliver``; one row per
        site and rule in force that governs it, sorted by both. ``value`` in the unit of ``measure``, the
        margin too, but a distance in m where nothing overlaps and the limit is 0. Unknown = NaN or "".
    verdicts
        ``site_id, verdict, at_least, at_most, certainty, could_become, decided_by``, sorted by site.
    overlaps
        ``site_id, layer, feature_id, overlap_m2, overlap_share, distance_m, rules``, sorted by the first
        three.
    """

    findings: pd.DataFrame
    verdicts: pd.DataFrame
    overlaps: pd.DataFrame


# ---- three values


def all_of(truths: Iterable[Truth]) -> Truth:
    """Say whether all are true: one false decides, else one unknown leaves it open."""
    seen = list(truths)
    if False in seen:
        return False
    return None if None in seen else True


def any_of(truths: Iterable[Truth]) -> Truth:
    """Say whether any is true: one true decides, else one unknown leaves it open."""
    seen = list(truths)
    if True in seen:
        return True
    return None if None in seen else False


def opposite(truth: Truth) -> Truth:
    """Negate; unknown stays unknown."""
    return None if truth is None else not truth


# ---- what is said of sites and features: "Attributes"


@dataclass(frozen=True)
class Member:
    """One value of a cell: its text, ``None`` if it is missing, and whether it came as a number."""

    text: str | None
    is_number: bool = False


def members_of(cell: object) -> list[Member]:
    """Return the values of a cell: one, or several joined by ``;``."""
    if cell is None or cell is pd.NA or cell is pd.NaT or (isinstance(cell, float) and math.isnan(cell)):
        return [Member(None)]
    if isinstance(cell, bool | np.bool_):
        return [Member("true" if cell else "false")]
    if isinstance(cell, int | float | np.integer | np.floating):
        return [Member(str(int(cell)) if float(cell).is_integer() else repr(float(cell)), is_number=True)]
    words = [word.strip() for word in str(cell).split(";")]
    filled = [word for word in words if word]  # "a;" is the set of a alone
    return [Member(None if word in {"NULL", "/"} else word) for word in filled] or [Member(None)]


def boolean_of(text: str) -> Truth:
    """Read a boolean; any other word is unknown."""
    return {"true": True, "是": True, "1": True, "false": False, "否": False, "0": False}.get(text.lower())


def code_matches(text: str, listed: str, *, coarser_is_unknown: bool) -> Truth:
    """Compare a value with one listed value, ``26*`` being a prefix."""
    stem = listed.strip()
    is_prefix = stem.endswith("*")
    stem = stem.removesuffix("*")
    if text == stem or (is_prefix and text.startswith(stem)):
        return True
    if coarser_is_unknown and stem.startswith(text):
        return None
    return False


def member_matches(member: Member, listed: Sequence[object], declared: Row) -> Truth:
    """Compare one value with the listed ones, as strictly as the attribute is declared."""
    text = member.text
    if text is None:
        return None
    if declared.get("type") == "boolean" or any(isinstance(value, bool) for value in listed):
        flag = boolean_of(text)
        wanted = [boolean_of(str(value).strip()) for value in listed]
        return None if flag is None else flag in wanted
    words = [str(value) for value in listed]
    allowed = declared.get("codes")
    if allowed is not None and not any(code_matches(text, code, coarser_is_unknown=False) for code in allowed):
        return None
    if member.is_number and lost_zeros(text, words, declared):
        return None
    coarser = declared.get("type") == "code" or text.isdigit()
    return any_of(code_matches(text, word, coarser_is_unknown=coarser) for word in words)


def lost_zeros(text: str, listed: Sequence[str], declared: Row) -> bool:
    """Say whether a number may be a code that has lost its leading zeros."""
    if "digits" in declared:
        return len(text) < int(declared["digits"])
    return any(word.strip().startswith("0") for word in [*listed, *declared.get("codes", [])])


def cell_matches(cell: object, listed: Sequence[object], declared: Row) -> Truth:
    """Compare a cell with the listed values: any member matches."""
    return any_of(member_matches(member, listed, declared) for member in members_of(cell))


def attribute_matches(row: Row, key: str, listed: Sequence[object], attributes: Row) -> Truth:
    """Compare an attribute of a site with the listed values."""
    declared = attributes.get(key, {})
    if "scheme" in declared:
        stated = members_of(row.get(declared["scheme_column"]))
        if [member.text for member in stated] != [declared["scheme"]]:
            return None
    return cell_matches(row.get(declared.get("column", key)), listed, declared)


def site_meets(row: Row, conditions: Mapping[str, Sequence[object]], attributes: Row) -> Truth:
    """Say whether a site meets all conditions of ``applies`` or ``unless`` (2, 3)."""
    return all_of(attribute_matches(row, key, listed, attributes) for key, listed in conditions.items())


def feature_kept(row: Row, where: Mapping[str, Sequence[object]], codes: Mapping[str, Sequence[str]]) -> Truth:
    """Say whether ``where`` keeps a feature (4): ``None`` is perhaps."""
    return all_of(
        cell_matches(row.get(column), listed, {"codes": codes[column]} if column in codes else {})
        for column, listed in where.items()
    )


def effect_of(rule: Row, row: Row, attributes: Row) -> str:
    """Return the rule's effect, or the strictest ``if_false`` of its proofs that are false."""
    failed = [
        proof["if_false"]
        for proof in rule.get("proofs", [])
        if attribute_matches(row, proof["key"], [False], attributes) is True
    ]
    return strictest(failed) if failed else str(rule["effect"])


def strictest(effects: Iterable[str]) -> str:
    """Return the strictest effect; ``clear`` if there is none."""
    return max(["clear", *effects], key=EFFECTS.index)


# ---- geometry


def geod_of(crs: pyproj.CRS) -> pyproj.Geod:
    """Return the ellipsoid of a CRS."""
    geod = crs.get_geod()
    assert geod is not None
    return geod


class Plane:
    """The zone's analysis plane: into it, and true distances and areas of what lies in it."""

    def __init__(self, centre: Sequence[float]) -> None:
        conversion = LambertAzimuthalEqualAreaConversion(
            latitude_natural_origin=centre[1], longitude_natural_origin=centre[0]
        )
        self.crs = ProjectedCRS(conversion=conversion, geodetic_crs=pyproj.CRS(CGCS2000))
        self.geod = geod_of(pyproj.CRS(CGCS2000))
        self.to_degrees = pyproj.Transformer.from_crs(self.crs, CGCS2000, always_xy=True)
        self.from_delivery: dict[str, pyproj.Transformer] = {}

    def shape(self, delivered: BaseGeometry, crs: pyproj.CRS) -> BaseGeometry:
        """Project a geometry whose edges are straight in the CRS of delivery."""
        key = crs.to_wkt()
        if key not in self.from_delivery:
            self.from_delivery[key] = pyproj.Transformer.from_crs(crs, self.crs, always_xy=True)
        projected = rebuilt(delivered, lambda xy: self.projected(split_edges(xy, crs), self.from_delivery[key]))
        return projected if projected.is_valid else shapely.make_valid(projected, method="structure")

    @staticmethod
    def projected(xy: np.ndarray, transformer: pyproj.Transformer) -> np.ndarray:
        """Project coordinates."""
        return np.column_stack(transformer.transform(xy[:, 0], xy[:, 1]))

    def distance_m(self, one: BaseGeometry, other: BaseGeometry) -> float:
        """Return the geodesic distance between the nearest points, in metres; 0 where the shapes meet."""
        if one.distance(other) == 0:
            return 0.0
        near = nearest_points(one, other)
        lon, lat = self.to_degrees.transform([point.x for point in near], [point.y for point in near])
        return float(self.geod.inv(lon[0], lat[0], lon[1], lat[1])[2])

    def area_m2(self, shape: BaseGeometry) -> float:
        """Return the area in m², having checked it against the area on the ellipsoid."""
        area = float(shape.area)
        if area == 0:
            return 0.0
        on_ellipsoid = 0.0
        for polygon in polygons_of(shape):
            degrees = rebuilt(polygon, lambda xy: self.projected(xy, self.to_degrees))
            on_ellipsoid += abs(self.geod.geometry_area_perimeter(shapely.geometry.polygon.orient(degrees))[0])
        if abs(on_ellipsoid - area) > 1e-6 * area + 0.01:
            raise AssertionError(f"plane area {area} m², on the ellipsoid {on_ellipsoid} m²")
        return area

    def length_m(self, shape: BaseGeometry) -> float:
        """Return the length on the ellipsoid in m; an equal-area plane stretches it, by 5e-6 at 20 km."""
        if isinstance(shape, LineString):
            if shape.is_empty:
                return 0.0
            lon, lat = self.to_degrees.transform(*np.asarray(shape.coords)[:, :2].T)
            return float(self.geod.line_length(lon, lat))
        return sum(self.length_m(part) for part in getattr(shape, "geoms", []))

    def size(self, shape: BaseGeometry, dimension: int) -> float:
        """Return m² of areas, m of lines, and for points 1 if there is anything."""
        if dimension == AREA:
            return self.area_m2(shape)
        return self.length_m(shape) if dimension == LENGTH else float(not shape.is_empty)


def split_edges(xy: np.ndarray, crs: pyproj.CRS) -> np.ndarray:
    """Split the edges longer than 100 m (geographic CRS) or 300 m (projected) into equal parts."""
    if len(xy) < 2:
        return xy
    if crs.is_geographic:
        lengths_m = np.asarray(geod_of(crs).line_lengths(xy[:, 0], xy[:, 1]))
        longest_m = LONGEST_EDGE_GEOGRAPHIC_M
    else:
        metres = crs.axis_info[0].unit_conversion_factor
        lengths_m = np.hypot(*np.diff(xy, axis=0).T) * metres
        longest_m = LONGEST_EDGE_PROJECTED_M
    points = [xy[:1]]
    for start, end, length_m in zip(xy[:-1], xy[1:], lengths_m, strict=True):
        parts = max(1, math.ceil(length_m / longest_m))
        # from the lower end whatever the direction: an edge that two rings share is split at the same points
        low, high = (start, end) if tuple(start) <= tuple(end) else (end, start)
        inner = low + (high - low) * (np.arange(1, parts)[:, None] / parts)
        points += [inner if low is start else inner[::-1], end[None, :]]
    return np.vstack(points)


def rebuilt(shape: BaseGeometry, change: Callable[[np.ndarray], np.ndarray]) -> BaseGeometry:
    """Return the shape with each run of coordinates changed by a function of an (n, 2) array."""
    if shape.is_empty:
        return shape
    if isinstance(shape, Point):
        return Point(change(np.asarray(shape.coords)[:, :2])[0])
    if isinstance(shape, LineString):  # a LinearRing too
        return type(shape)(change(np.asarray(shape.coords)[:, :2]))
    if isinstance(shape, Polygon):
        rings = [LinearRing(change(np.asarray(ring.coords)[:, :2])) for ring in (shape.exterior, *shape.interiors)]
        return Polygon(rings[0], rings[1:])
    return type(shape)([rebuilt(part, change) for part in shape.geoms])


def polygons_of(shape: BaseGeometry) -> list[Polygon]:
    """Return the polygons that a shape is made of."""
    if isinstance(shape, Polygon):
        return [] if shape.is_empty else [shape]
    return [polygon for part in getattr(shape, "geoms", []) for polygon in polygons_of(part)]


class Ground:
    """What some features cover together: the union comes before any measuring."""

    def __init__(self, shapes: Sequence[BaseGeometry]) -> None:
        self.union = shapely.union_all(list(shapes)) if shapes else Polygon()

    @cached_property
    def core(self) -> BaseGeometry:
        """The inside without its edge, on which lines and points only touch."""
        return self.union.buffer(-TOUCH_M)

    def size_within(self, site: Site, plane: Plane) -> float:
        """Return how much of a site lies inside: m², m, or 1 for a point."""
        if site.dimension == AREA:
            covered = self.union.covers(site.shape)
            return site.size if covered else plane.area_m2(site.shape.intersection(self.union))
        if site.dimension == LENGTH:
            return plane.length_m(site.shape.intersection(self.core))
        return float(self.core.intersects(site.shape))


# ---- the layers, and their "Faults"


@dataclass(frozen=True)
class Feature:
    """A feature as measured: a repaired copy if the source is invalid; ``shape=None`` if there is none."""

    id: str
    row: Row
    shape: BaseGeometry | None
    accuracy_m: float
    position_known: bool
    not_covered: BaseGeometry | None = None


@dataclass(frozen=True)
class Layer:
    """A layer as read; ``fault`` says why it cannot be used."""

    kind: str
    features: list[Feature] = field(default_factory=list)
    fault: str = ""
    cells: Cells | None = None


class LayerFault(Exception):  # noqa: N818
    """A fault of a layer's data."""


def read_layer(pack: Path, entry: Row, columns: set[str], plane: Plane, sliver_m2: float) -> Layer:
    """Read a layer, or say why not; ``columns`` are those that ``where`` of its rules in force ask for."""
    if entry["kind"] == "raster":  # taken to be without faults
        return Layer("raster", cells=Cells(pack / entry["path"], entry["classes"], plane.crs))
    try:
        frame = read_frame(pack / entry["path"], entry)
        check_frame(frame, entry, columns)
        crs = pyproj.CRS(frame.crs)
        features = [read_feature(row, entry, crs, plane, sliver_m2) for row in frame.to_dict("records")]
    except LayerFault as fault:
        return Layer(entry["geometry"], fault=str(fault))
    return Layer(entry["geometry"], features)


def read_frame(path: Path, entry: Row) -> gpd.GeoDataFrame:
    """Read a layer's file."""
    if not path.exists():
        raise LayerFault("missing")
    stated = entry["source"].get("sha256")
    if stated and path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() != stated.lower():
        raise LayerFault("checksum")
    options = {"layer": entry["table"]} if "table" in entry else {}
    if "encoding" in entry:
        options["encoding"] = entry["encoding"]
    try:
        frame = pyogrio.read_dataframe(path, **options)
    except (
        pyogrio.errors.DataSourceError,
        pyogrio.errors.DataLayerError,
        shapely.errors.GEOSException,
    ) as error:
        raise LayerFault("unreadable") from error
    if not isinstance(frame, gpd.GeoDataFrame):
        raise LayerFault("no geometry")
    return frame


def check_frame(frame: gpd.GeoDataFrame, entry: Row, columns: set[str]) -> None:
    """Find the faults that make a whole layer fail."""
    if frame.crs is None or not pyproj.CRS(entry["crs"]).equals(pyproj.CRS(frame.crs), ignore_axis_order=True):
        raise LayerFault("CRS")
    missing = {entry["id"], *columns} - set(frame.columns)
    if missing:
        raise LayerFault(f"no column {sorted(missing)}")
    if frame.empty and not entry.get("may_be_empty", False):
        raise LayerFault("no features")
    if len(frame) < entry.get("min_features", 0):
        raise LayerFault("too few features")
    for row in frame.to_dict("records"):
        shape = row[frame.geometry.name]
        kind = entry["geometry"] if is_nothing(shape) else KIND_OF_TYPE.get(shape.geom_type)
        if kind != entry["geometry"] and not is_somewhere(row):
            raise LayerFault("feature of another kind")


def is_nothing(shape: BaseGeometry | None) -> bool:
    """Say whether a feature has no geometry."""
    return shape is None or shape.is_empty


def is_somewhere(row: Row) -> bool:
    """Say whether a feature's true place is only known to be somewhere in its geometry."""
    return members_of(row.get("position")) == [Member("unknown")]


def read_feature(row: Row, entry: Row, crs: pyproj.CRS, plane: Plane, sliver_m2: float) -> Feature:
    """Repair and project a feature; a repair of more than ``sliver_m2`` leaves its envelope uncovered."""
    delivered: BaseGeometry | None = row["geometry"]
    not_covered = None
    shape = None
    if delivered is not None and not delivered.is_empty:
        repaired = delivered if delivered.is_valid else shapely.make_valid(delivered, method="structure")
        shape = plane.shape(repaired, crs)
        if repaired is not delivered:
            before = rebuilt(
                delivered, lambda xy: plane.projected(split_edges(xy, crs), plane.from_delivery[crs.to_wkt()])
            )
            if abs(before.area - shape.area) > sliver_m2:
                not_covered = box(*before.bounds)
    accuracy_m = number_or(row.get("accuracy_m"), entry.get("accuracy_m", math.nan))
    name = members_of(row[entry["id"]])[0].text or ""
    return Feature(name, row, shape, accuracy_m, not is_somewhere(row), not_covered)


def number_or(cell: object, otherwise: float) -> float:
    """Return a cell's number, or the other one if there is none in it."""
    text = members_of(cell)[0].text
    try:
        return float(text) if text is not None else otherwise
    except ValueError:
        return otherwise


@dataclass(frozen=True)
class Coverage:
    """Where a layer is authoritative: inside ``held`` (``None``: everywhere), but not inside ``spoiled``."""

    held: BaseGeometry | None
    spoiled: BaseGeometry

    def inside(self, shape: BaseGeometry) -> BaseGeometry:
        """Return the part of a shape that is covered (a line less what was cut from it would be all of the line)."""
        part = shape if self.held is None else shape.intersection(self.held)
        return part if self.spoiled.is_empty else part.difference(self.spoiled)

    def outside(self, shape: BaseGeometry) -> BaseGeometry:
        """Return the part of a shape that is not covered."""
        beyond = Polygon() if self.held is None else shape.difference(self.held)
        return beyond if self.spoiled.is_empty else shapely.union_all([beyond, shape.intersection(self.spoiled)])


def coverage_of(name: str, entries: Row, layers: Mapping[str, Layer]) -> Coverage:
    """Return a layer's coverage; a coverage layer that failed covers nothing."""
    spoiled = spoiled_by(layers[name])
    holder = entries[name]["coverage"]
    if holder == "unlimited":
        return Coverage(None, spoiled)
    known = [f.shape for f in layers[holder].features if f.shape is not None and f.position_known]
    held = shapely.union_all(known) if known else Polygon()
    return Coverage(held.difference(spoiled_by(layers[holder])), spoiled)


def spoiled_by(layer: Layer) -> BaseGeometry:
    """Return the envelopes of a layer's badly damaged features."""
    return shapely.union_all([f.not_covered for f in layer.features if f.not_covered is not None])


# ---- sites, kept features


@dataclass(frozen=True)
class Site:
    """A site: its attributes, its shape, and its size in m² (polygons), m (lines) or 1 (points)."""

    id: str
    row: Row
    shape: BaseGeometry
    dimension: int
    size: float
    accuracy_m: float

    @property
    def own_measure(self) -> str:
        """The overlap that its dimension has."""
        return {AREA: "overlap_m2", LENGTH: "overlap_m", INSIDE: "overlap_point"}[self.dimension]


def read_sites(sites: gpd.GeoDataFrame, zone: Row, plane: Plane) -> list[Site]:
    """Project the sites, one at a time."""
    crs = pyproj.CRS(sites.crs)
    found = []
    for row in sites.to_dict("records"):
        delivered = row[sites.geometry.name]
        whole = delivered if delivered.is_valid else shapely.make_valid(delivered, method="structure")
        shape = plane.shape(whole, crs)
        dimension = DIMENSION_OF_KIND[KIND_OF_TYPE[shape.geom_type]]
        accuracy_m = number_or(row.get("accuracy_m"), zone.get("site_accuracy_m", math.nan))
        found.append(Site(str(row["site_id"]), row, shape, dimension, plane.size(shape, dimension), accuracy_m))
    return found


@dataclass(frozen=True)
class Kept:
    """What a rule's ``where`` keeps of its layer, for certain and perhaps."""

    surely: list[Feature]
    perhaps: list[Feature]

    @cached_property
    def placed(self) -> list[Feature]:
        """Surely kept, and where they are is known."""
        return [f for f in self.surely if f.shape is not None and f.position_known]

    @cached_property
    def doubtful(self) -> list[Feature]:
        """Perhaps kept, or kept but somewhere in their geometry."""
        return [f for f in self.perhaps if f.shape is not None] + [
            f for f in self.surely if f.shape is not None and not f.position_known
        ]

    @cached_property
    def some_without_geometry(self) -> bool:
        """Whether a feature that is (perhaps) kept could be anywhere."""
        return any(f.shape is None for f in [*self.surely, *self.perhaps])

    @cached_property
    def least(self) -> Ground:
        """What is certainly covered."""
        return Ground([f.shape for f in self.placed])

    @cached_property
    def most(self) -> Ground:
        """What is covered at most."""
        return Ground([f.shape for f in [*self.placed, *self.doubtful]])


def kept_by(rule: Row, layer: Layer, codes: Row) -> Kept:
    """Filter a layer by a rule's ``where`` (4)."""
    answers = [(f, feature_kept(f.row, rule.get("where", {}), codes)) for f in layer.features]
    return Kept([f for f, kept in answers if kept is True], [f for f, kept in answers if kept is None])


# ---- one rule


@dataclass(frozen=True)
class Test:
    """A rule's test: ``measure op limit``. Presence tests look for what is there (6)."""

    __test__ = False  # not one of pytest's

    measure: str
    op: str
    limit: float

    @property
    def is_presence(self) -> bool:
        """Overlap ``>``, ``>=`` and distance ``<``, ``<=``."""
        return self.op in {"<", "<="} if self.measure == "distance_m" else self.op in {">", ">="}

    def holds(self, value: float) -> bool:
        """Compare a value with the limit."""
        return {
            ">": value > self.limit,
            ">=": value >= self.limit,
            "<": value < self.limit,
            "<=": value <= self.limit,
        }[self.op]

    def counts_as_near(self, distance: float) -> bool:
        """Say on which side of the limit a distance is, whichever side is the hit."""
        return self.holds(distance) if self.is_presence else not self.holds(distance)


def test_of(rule: Row) -> Test:
    """Return a rule's test."""
    return Test(rule["test"]["measure"], rule["test"]["op"], float(rule["test"]["value"]))


@dataclass(frozen=True)
class Measured:
    """What a test says of a site: measure taken, answer, value, margin, whether the answer is firm."""

    measure: str
    answer: Truth
    value: float = math.nan
    margin: float = math.nan
    firm: bool = False
    sliver: bool = False
    lacks_data: bool = False


class World:
    """A zone pack as read on a day."""

    def __init__(self, pack: Path, on: date) -> None:
        self.zone = tomllib.loads((pack / "zone.toml").read_text(encoding="utf-8"))
        self.entries = tomllib.loads((pack / "catalogue.toml").read_text(encoding="utf-8"))["layers"]
        listed = tomllib.loads((pack / "access_list.toml").read_text(encoding="utf-8")).get("rule", [])
        self.rules = [rule for rule in listed if counts_on(rule, on)]
        self.attributes = self.zone.get("attributes", {})
        self.sliver_m2 = float(self.zone["sliver_m2"])
        self.sliver_m = float(self.zone.get("sliver_m", SLIVER_M_DEFAULT))
        self.plane = Plane(self.zone["centre"])
        used = {rule["layer"] for rule in self.rules}
        holders = {self.entries[name]["coverage"] for name in used} - {"unlimited"}
        self.layers = {name: self.read(pack, name) for name in sorted(used | holders)}
        self.coverages = {name: coverage_of(name, self.entries, self.layers) for name in sorted(used)}
        self.kept = {
            rule["id"]: kept_by(rule, self.layers[rule["layer"]], self.entries[rule["layer"]].get("codes", {}))
            for rule in self.rules
        }
        self.distances: dict[tuple[str, int], float] = {}
        self.blurred: dict[tuple[str, float, int], Ground] = {}
        self.grounds: dict[int, Ground] = {}

    def read(self, pack: Path, name: str) -> Layer:
        """Read a layer with the columns that the rules in force ask for."""
        is_raster = self.entries[name]["kind"] == "raster"  # `where` names classes, no column
        rules = [] if is_raster else [rule for rule in self.rules if rule["layer"] == name]
        columns = {column for rule in rules for column in rule.get("where", {})}
        return read_layer(pack, self.entries[name], columns, self.plane, self.sliver_m2)

    def distance_m(self, site: Site, feature: Feature) -> float:
        """Return the geodesic distance of a site to a feature that has a shape, in metres."""
        key = (site.id, id(feature))
        if key not in self.distances:
            assert feature.shape is not None
            self.distances[key] = self.plane.distance_m(site.shape, feature.shape)
        return self.distances[key]

    def overlap_with(self, site: Site, layer: str, feature: Feature) -> float:
        """Return a site's overlap with one feature of a polygon layer: m², m, or 1 for a point."""
        if self.layers[layer].kind != "polygon" or feature.shape is None:
            return 0.0
        if id(feature) not in self.grounds:
            self.grounds[id(feature)] = Ground([feature.shape])
        return self.grounds[id(feature)].size_within(site, self.plane)

    def is_sliver(self, part: float, dimension: int, whole: float) -> bool:
        """Say whether a part counts as 0 (7): at most the sliver *and* at most 1 % of the whole."""
        if dimension == INSIDE:
            return part == 0
        most = self.sliver_m2 if dimension == AREA else self.sliver_m
        return part <= most and part <= SLIVER_SHARE * whole

    def covers(self, layer: str, site: Site, widened_by_m: float) -> bool:
        """Say whether a layer's coverage holds a site, widened by the limit of a distance test (6, 7)."""
        shape, dimension = site.shape, site.dimension
        if widened_by_m > 0:
            shape, dimension = shape.buffer(widened_by_m, quad_segs=QUARTER_SEGMENTS_FINE), AREA
        outside = self.coverages[layer].outside(shape)
        return self.is_sliver(self.plane.size(outside, dimension), dimension, self.plane.size(shape, dimension))


def counts_on(rule: Row, on: date) -> bool:
    """Say whether a rule counts on a day (1): from ``start`` (inclusive) to ``until`` (exclusive)."""
    span = rule["in_force"]
    return bool(rule.get("enabled", True)) and span["start"] <= on and ("until" not in span or on < span["until"])


def measure_taken(test: Test, site: Site, layer_kind: str) -> str | None:
    """Return the measure that the site's dimension asks for (5); ``None`` if the test cannot be made."""
    if test.measure in {"distance_m", "cover_share"}:
        return test.measure
    if layer_kind != "polygon":
        return None
    if test.measure == "overlap_share":
        return "overlap_share"
    return site.own_measure if test.limit == 0 or test.measure == site.own_measure else None


@dataclass(frozen=True)
class OverlapAnswer:
    """An overlap test on some ground: answer, value in the test's unit, whether a sliver was left out."""

    holds: bool
    value: float
    sliver: bool


def overlap_answer(world: World, test: Test, site: Site, ground: Ground) -> OverlapAnswer:
    """Make an overlap test on some ground; slivers inside (presence) or outside (absence) count as 0 (7)."""
    size = ground.size_within(site, world.plane)
    part = size if test.is_presence else max(0.0, site.size - size)
    left_out = world.is_sliver(part, site.dimension, site.size)
    counted = size
    if left_out:
        counted = 0.0 if test.is_presence else site.size
    if test.measure == "overlap_share":
        size, counted = min(size / site.size, 1.0), min(counted / site.size, 1.0)
    bent_m2 = max(WRITTEN_M2, BEND_M * site.shape.length)
    is_written = part > (bent_m2 if site.dimension == AREA else WRITTEN_M)
    return OverlapAnswer(test.holds(counted), size, left_out and is_written)


def measure_overlap(world: World, rule: Row, test: Test, site: Site, measure: str) -> Measured:
    """Test with the features surely kept and with those perhaps kept added: the same answer decides (4)."""
    kept = world.kept[rule["id"]]
    least = overlap_answer(world, test, site, kept.least)
    most = overlap_answer(world, test, site, kept.most)
    answers = {least.holds, most.holds}
    if kept.some_without_geometry:  # it could be anywhere, and as large as the site
        answers.add(test.is_presence)
    answer = answers.pop() if len(answers) == 1 else None
    sliver = least.sliver or most.sliver
    firm = answer is not None and not sliver and overlap_is_firm(world, rule, test, site, answer=answer)
    return Measured(measure, answer, least.value, overlap_margin(world, test, site, kept, least), firm, sliver)


def overlap_margin(world: World, test: Test, site: Site, kept: Kept, least: OverlapAnswer) -> float:
    """Return how far the value is from the limit (10): above 0 on the clear side, below on the hit side."""
    if test.limit > 0:
        return test.limit - least.value if test.is_presence else least.value - test.limit
    if least.holds == test.is_presence:  # it overlaps
        return -least.value if test.is_presence else least.value
    nearest = min((world.distance_m(site, f) for f in kept.placed), default=math.nan)
    return nearest if test.is_presence else -nearest


def overlap_is_firm(world: World, rule: Row, test: Test, site: Site, *, answer: bool) -> bool:
    """Ask again with the kept union shrunk by u if the answer rests on what is there, else grown by u.

    The other of the two (11) cannot change the answer: more ground never makes an overlap smaller.
    """
    kept = world.kept[rule["id"]]
    rests_on_what_is_there = answer == test.is_presence
    features = kept.placed if rests_on_what_is_there else [*kept.placed, *kept.doubtful]
    if math.isnan(site.accuracy_m) or any(math.isnan(f.accuracy_m) for f in features):
        return False
    sign = -1 if rests_on_what_is_there else 1
    key = (rule["id"], site.accuracy_m, sign)
    if key not in world.blurred:
        world.blurred[key] = blurred(features, site.accuracy_m, sign)
    return overlap_answer(world, test, site, world.blurred[key]).holds == answer


def blurred(features: Sequence[Feature], site_accuracy_m: float, sign: int) -> Ground:
    """Grow (+1) or shrink (-1) the union by u; features of the same accuracy are united first."""
    by_accuracy: dict[float, list[BaseGeometry]] = {}
    for feature in features:
        if feature.shape is not None:
            by_accuracy.setdefault(feature.accuracy_m + site_accuracy_m, []).append(feature.shape)
    return Ground(
        [
            shapely.union_all(shapes).buffer(sign * u_m, quad_segs=QUARTER_SEGMENTS)
            if u_m
            else shapely.union_all(shapes)
            for u_m, shapes in by_accuracy.items()
        ]
    )


def measure_distance(world: World, rule: Row, test: Test, site: Site) -> Measured:
    """Ask of each feature whether it is near, then whether any is."""
    kept = world.kept[rule["id"]]
    near = [nearness(world, test, site, f, surely_kept=True) for f in kept.surely]
    near += [nearness(world, test, site, f, surely_kept=False) for f in kept.perhaps]
    found = any_of(near)
    nearest = min((world.distance_m(site, f) for f in kept.placed), default=math.nan)
    margin = nearest - test.limit if test.is_presence else test.limit - nearest
    firm = found is not None and distance_is_firm(world, test, site, kept, found=found)
    return Measured("distance_m", found if test.is_presence else opposite(found), nearest, margin, firm)


def nearness(world: World, test: Test, site: Site, feature: Feature, *, surely_kept: bool) -> Truth:
    """Say whether a feature is within the limit; one somewhere in its geometry is if all its points are."""
    if feature.shape is None:
        return None
    if not test.counts_as_near(world.distance_m(site, feature)):
        return False
    if not surely_kept:
        return None
    return True if feature.position_known or all_within(site, feature.shape, test.limit) else None


def all_within(site: Site, shape: BaseGeometry, limit_m: float) -> bool:
    """Say whether every point of a shape is within a distance of the site."""
    return limit_m >= 0 and bool(site.shape.buffer(limit_m, quad_segs=QUARTER_SEGMENTS_FINE).covers(shape))


def distance_is_firm(world: World, test: Test, site: Site, kept: Kept, *, found: bool) -> bool:
    """Firm if one kept feature is near by u, or if all, also those perhaps kept, are beyond by u (11)."""
    if math.isnan(site.accuracy_m):
        return False
    if not found:
        return all(
            not math.isnan(f.accuracy_m)
            and not test.counts_as_near(world.distance_m(site, f) - f.accuracy_m - site.accuracy_m)
            for f in [*kept.placed, *kept.doubtful]
        )
    for feature in kept.surely:
        u_m = feature.accuracy_m + site.accuracy_m
        if feature.shape is None or math.isnan(u_m) or not test.counts_as_near(world.distance_m(site, feature) + u_m):
            continue
        if feature.position_known or all_within(site, feature.shape, test.limit - u_m):
            return True
    return False


# ---- cells


def cover_shares(world: World, rule: Row, site: Site) -> tuple[float, float, float]:
    """Return the share of a site that surely is of the classes, the share that may be, and how many cells it has.

    A cell without data, or of no class, may be of the classes. So may one of other classes beyond the layer's coverage.
    """
    cells = world.layers[rule["layer"]].cells
    assert cells is not None
    wanted = cells.values_of(rule["where"]["class"])
    around, sizes = cells.sizes(site.shape, site.dimension)
    whole = shapely.get_num_coordinates(site.shape) if site.dimension == INSIDE else site.size
    least = float(sizes[around.of(wanted)].sum()) / whole
    outside = world.coverages[rule["layer"]].outside(site.shape)
    spoken = site.shape
    if not world.is_sliver(world.plane.size(outside, site.dimension), site.dimension, site.size):
        spoken = world.coverages[rule["layer"]].inside(site.shape)
    held, held_sizes = (around, np.zeros(0)) if spoken.is_empty else cells.sizes(spoken, site.dimension)
    others = float(held_sizes[held.of(cells.declared - wanted)].sum()) / whole if len(held_sizes) else 0.0
    most = max(least, 1.0 - others)
    if site.dimension == INSIDE:  # one of several points is enough
        least, most = math.ceil(least), math.ceil(round(most, 9))
    shares = sizes / shapely.area(around.cells) if site.dimension == AREA else (sizes > 0)
    return round(least, 9), round(most, 9), float(shares.sum())


def cover_holds(world: World, test: Test, site: Site, share: float) -> bool:
    """Make a test on a share; a sliver inside (presence) or outside (absence) counts as nothing (7)."""
    part = share * site.size if test.is_presence else (1.0 - share) * site.size
    if world.is_sliver(part, site.dimension, site.size):
        share = 0.0 if test.is_presence else 1.0
    return test.holds(share)


def measure_cover(world: World, rule: Row, test: Test, site: Site) -> Measured:
    """Test with the cells without data as none and as all: the same answer decides."""
    low, high, count = cover_shares(world, rule, site)
    answer, other = (cover_holds(world, test, site, share) for share in (low, high))
    found = answer == test.is_presence
    margin = (test.limit - (low if found else high)) * (1.0 if test.is_presence else -1.0)
    parts = [(share if test.is_presence else 1.0 - share) * site.size for share in (low, high)]
    written = max(WRITTEN_M2, BEND_M * site.shape.length) if site.dimension == AREA else WRITTEN_M
    sliver = any(part > written and world.is_sliver(part, site.dimension, site.size) for part in parts)
    few = count < 10 - 1e-6
    firm = not few and not sliver and cover_is_firm(world, rule, test, site, found=found, share=low if found else high)
    return Measured("cover_share", answer, low, margin, firm, sliver, lacks_data=answer != other)


def cover_is_firm(world: World, rule: Row, test: Test, site: Site, *, found: bool, share: float) -> bool:
    """Ask again with the cells' edges off by half a cell and all accuracies: inwards if found, else outwards."""
    layer = rule["layer"]
    cells = world.layers[layer].cells
    assert cells is not None
    by_m = cells.longest_side_m / 2 + world.entries[layer].get("accuracy_m", math.nan) + site.accuracy_m
    if math.isnan(by_m) or not (found or world.covers(layer, site, 0.0)):
        return False
    around = cells.around(site.shape, by_m)
    wanted = around.of(cells.values_of(rule["where"]["class"]))
    kept = wanted if found else wanted | ~around.of(cells.declared)
    if kept.all():
        return True  # whatever the edges do, they are not near
    union = shapely.union_all(around.cells[kept]).buffer(-by_m if found else by_m, quad_segs=16)
    moved = round(world.plane.size(site.shape.intersection(union), site.dimension) / site.size, 9)
    moved = min(moved, share) if found else max(moved, share)
    return cover_holds(world, test, site, moved) == cover_holds(world, test, site, share)


# ---- findings, verdicts, overlaps


def finding(world: World, rule: Row, site: Site) -> dict[str, Any] | None:
    """Decide one rule for one site, in the order of (8); ``None`` if the rule does not govern it."""
    applies = site_meets(site.row, rule.get("applies", {}), world.attributes)
    if applies is False:
        return None
    test = test_of(rule)
    layer = world.layers[rule["layer"]]
    taken = measure_taken(test, site, layer.kind)
    measured = Measured(taken or test.measure, None)
    if layer.fault:
        outcome = "source_failed"
    elif taken is None:
        outcome = "not_evaluable"
    else:
        if taken == "cover_share":
            measured = measure_cover(world, rule, test, site)
        elif taken == "distance_m":
            measured = measure_distance(world, rule, test, site)
        else:
            measured = measure_overlap(world, rule, test, site, taken)
        outcome = outcome_of(world, rule, site, applies, measured)
    exception = rule.get("unless", {})
    if exception and outcome != "clear" and site_meets(site.row, exception, world.attributes) is True:
        outcome = "lifted"
    certainty = ("firm" if measured.firm else "marginal") if outcome in {"hit", "clear"} else ""
    return {
        "site_id": site.id,
        "rule_id": rule["id"],
        "layer": rule["layer"],
        "outcome": outcome,
        "effect": effect_of(rule, site.row, world.attributes),
        "measure": measured.measure,
        "value": measured.value,
        "certainty": certainty,
        "margin": measured.margin,
        "sliver": measured.sliver,
    }


def outcome_of(world: World, rule: Row, site: Site, applies: Truth, measured: Measured) -> str:
    """Turn the answer of a test into an outcome (6, 8)."""
    test, answer = test_of(rule), measured.answer
    if answer is None or (answer and applies is None):
        return "not_evaluable"
    if measured.measure == "cover_share":
        return "no_coverage" if measured.lacks_data else "hit" if answer else "clear"
    rests_on_what_is_there = answer == test.is_presence
    widened_by_m = test.limit if test.measure == "distance_m" else 0.0
    if not rests_on_what_is_there and not world.covers(rule["layer"], site, widened_by_m):
        return "no_coverage"
    return "hit" if answer else "clear"


def bounds_of(findings: Sequence[Row]) -> tuple[str, str, str]:
    """Return verdict, ``at_least`` and ``at_most`` (9)."""
    hits = [row["effect"] for row in findings if row["outcome"] == "hit"]
    unknown = [row["effect"] for row in findings if row["outcome"] in UNKNOWN_OUTCOMES]
    at_least, at_most = strictest(hits), strictest(hits + unknown)
    return at_least if at_least == at_most else "undetermined", at_least, at_most


def verdict(site: Site, findings: Sequence[Row]) -> dict[str, Any]:
    """Sum up the findings of one site (9, 11)."""
    word, at_least, at_most = bounds_of(findings)
    others: set[str] = set()
    certainty = ""
    if word == "undetermined":
        open_rules = [r for r in findings if r["outcome"] in UNKNOWN_OUTCOMES]
        deciding = [r["rule_id"] for r in open_rules if EFFECTS.index(r["effect"]) > EFFECTS.index(at_least)]
    else:
        others = verdicts_after_a_flip(findings) - {word}
        certainty = "marginal" if others else "firm"
        deciding = [r["rule_id"] for r in findings if r["outcome"] == "hit" and r["effect"] == word]
    return {
        "site_id": site.id,
        "verdict": word,
        "at_least": at_least,
        "at_most": at_most,
        "certainty": certainty,
        "could_become": ";".join(sorted(others)),
        "decided_by": ";".join(sorted(deciding)),
    }


def verdicts_after_a_flip(findings: Sequence[Row]) -> set[str]:
    """Return the verdicts that would follow if a marginal clear, or all hits that carry the verdict, flipped.

    Hits that carry a verdict together flip together: they may rest on the same uncertain edge.
    """
    word = bounds_of(findings)[0]
    carriers = [r for r in findings if r["outcome"] == "hit" and r["effect"] == word]
    flips = [[r] for r in findings if r["outcome"] == "clear" and r["certainty"] == "marginal"]
    if carriers and all(row["certainty"] == "marginal" for row in carriers):
        flips.append(carriers)
    words = set()
    for flip in flips:
        other = {"hit": "clear", "clear": "hit"}
        after = [{**row, "outcome": other[row["outcome"]]} if any(row is r for r in flip) else row for row in findings]
        words.add(bounds_of(after)[0])
    return words


def overlaps_of(world: World, site: Site) -> list[dict[str, Any]]:
    """List what a site overlaps, and the nearest kept feature of each distance rule that governs it."""
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    governing = [
        rule for rule in world.rules if site_meets(site.row, rule.get("applies", {}), world.attributes) is not False
    ]
    for name in sorted({rule["layer"] for rule in world.rules} - {world.zone["boundary"]}):
        for feature in world.layers[name].features:
            if world.overlap_with(site, name, feature) > 0:
                rows[name, feature.id] = overlap_row(world, site, name, feature, governing)
    for rule in governing:
        name, placed = rule["layer"], world.kept[rule["id"]].placed
        if rule["test"]["measure"] != "distance_m" or not placed:
            continue
        shortest = min(world.distance_m(site, f) for f in placed)
        ties = [f for f in placed if world.distance_m(site, f) <= shortest + TIE_M]
        nearest = min(ties, key=lambda f: f.id)
        row = rows.setdefault((name, nearest.id), overlap_row(world, site, name, nearest, governing))
        row["distance_m"] = shortest
    return [rows[key] for key in sorted(rows)]


def overlap_row(world: World, site: Site, layer: str, feature: Feature, governing: Sequence[Row]) -> dict[str, Any]:
    """Describe one feature that a site overlaps or that is nearest to it."""
    size = world.overlap_with(site, layer, feature)
    keepers = [r["id"] for r in governing if any(f is feature for f in world.kept[r["id"]].surely)]
    return {
        "site_id": site.id,
        "layer": layer,
        "feature_id": feature.id,
        "overlap_m2": size if site.dimension == AREA else math.nan,
        "overlap_share": min(size / site.size, 1.0),
        "distance_m": math.nan,
        "rules": ";".join(sorted(keepers)),
    }


FINDING_COLUMNS = [
    "site_id",
    "rule_id",
    "layer",
    "outcome",
    "effect",
    "measure",
    "value",
    "certainty",
    "margin",
    "sliver",
]
VERDICT_COLUMNS = ["site_id", "verdict", "at_least", "at_most", "certainty", "could_become", "decided_by"]
OVERLAP_COLUMNS = ["site_id", "layer", "feature_id", "overlap_m2", "overlap_share", "distance_m", "rules"]


def evaluate(pack: Path, sites: gpd.GeoDataFrame, on: date) -> OracleResult:
    """Screen sites against a zone pack.

    Parameters
    ----------
    pack
        Folder with ``zone.toml``, ``catalogue.toml``, ``access_list.toml`` and the layers; taken to be
        without TOML faults.
    sites
        Valid, non-empty geometries in any CRS, with a unique column ``site_id``.
    on
        The day whose rules are asked for.
    """
    world = World(pack, on)
    findings: list[dict[str, Any]] = []
    verdicts: list[dict[str, Any]] = []
    overlaps: list[dict[str, Any]] = []
    for site in sorted(read_sites(sites, world.zone, world.plane), key=lambda site: site.id):
        found = [finding(world, rule, site) for rule in sorted(world.rules, key=lambda rule: str(rule["id"]))]
        rows = [row for row in found if row is not None]
        findings += rows
        verdicts.append(verdict(site, rows))
        overlaps += overlaps_of(world, site)
    return OracleResult(
        pd.DataFrame(findings, columns=FINDING_COLUMNS),
        pd.DataFrame(verdicts, columns=VERDICT_COLUMNS),
        pd.DataFrame(overlaps, columns=OVERLAP_COLUMNS),
    )


# ---- random zone packs

DAY = date(2026, 11, 22)  # the day that the dates of random rules lie around
CENTRE = (106.33, 29.52)
DEGREE_LON_M, DEGREE_LAT_M = 96_900.0, 110_800.0
CODES = ["1101", "1102", "2101"]
STATUSES = ["listed", "suspected", "removed", " listed "]
FAULTS = ["missing", "crs", "empty", "empty and may be", "few", "id", "column", "garbage", "checksum", "kind"]
MISSING_CELLS = [None, "", "/", "NULL"]
SITE_KINDS = ["housing", "school", "factory", "road"]
INDUSTRIES = ["3011", "3012", "2611", "4411"]
SCHEME = "GB/T 21010-2017"


def random_pack(seed: int, folder: Path) -> gpd.GeoDataFrame:
    """Write a small random zone pack, valid by ``docs/zone-pack.md``, and return about 15 sites for it.

    Parameters
    ----------
    seed
        The same seed writes the same pack.
    folder
        Where the four TOML files and the layers are written.

    Returns
    -------
    GeoDataFrame
        Sites in EPSG:4490 or EPSG:4544 with ``site_id``, ``name`` and attributes.
    """
    rng = random.Random(seed)
    folder.mkdir(parents=True, exist_ok=True)
    drawn = [draw_boundary(rng), draw_survey(rng)]
    drawn += [draw_polygons(rng, f"zone_{letter}") for letter in "abcde"[: rng.randint(3, 5)]]
    drawn += [draw_stations(rng), draw_rivers(rng)]
    attributes = draw_attributes(rng)
    sites = draw_sites(rng, drawn, attributes)
    rules = draw_rules(rng, drawn, attributes)
    for layer in drawn:
        spoil(rng, layer, folder)
    write_toml(folder / "zone.toml", draw_zone(rng, attributes))
    write_toml(folder / "catalogue.toml", {"layers": {layer.name: layer.entry for layer in drawn}})
    write_toml(folder / "access_list.toml", {"rule": rules})
    write_toml(folder / "targets.toml", {"target": [draw_target()]})
    return sites


@dataclass
class Drawn:
    """A random layer before it is written: its features (EPSG:4490) and its row of the catalogue."""

    name: str
    frame: gpd.GeoDataFrame
    entry: dict[str, Any]
    cells: list[Polygon] = field(default_factory=list)  # those with shared edges, for sites that touch them

    @property
    def kind(self) -> str:
        """polygon, line or point."""
        return str(self.entry["geometry"])


def both(text: str) -> dict[str, str]:
    """Return a text in both languages."""
    return {"zh": f"样例 {text}", "en": text}


def catalogue_row(rng: random.Random, name: str, kind: str, coverage: str, accuracy_m: float | None) -> dict[str, Any]:
    """Return a row of the catalogue."""
    row: dict[str, Any] = {
        "title": both(name),
        "kind": "vector",
        "path": f"{name}.gpkg",
        "geometry": kind,
        "id": rng.choice(["id", "code_no"]),
        "crs": CGCS2000,
        "coverage": coverage,
        "status": rng.choice(["synthetic", "open", "official"]),
        "audience": "public",
        "source": {"publisher": "random", "date": date(2024, 1, 1), "licence": "CC0-1.0"},
        "paint": {"colour": "#336699"},
    }
    return row if accuracy_m is None else {**row, "accuracy_m": accuracy_m}


def drawn_layer(name: str, entry: dict[str, Any], columns: dict[str, list[Any]], shapes: list[BaseGeometry]) -> Drawn:
    """Put a layer together."""
    ids = [f"{name}-{number:02d}" for number in range(len(shapes))]
    return Drawn(name, gpd.GeoDataFrame({entry["id"]: ids, **columns}, geometry=shapes, crs=CGCS2000), entry)


def at(east_m: float, north_m: float) -> tuple[float, float]:
    """Return lon, lat at about so many metres from the centre."""
    return CENTRE[0] + east_m / DEGREE_LON_M, CENTRE[1] + north_m / DEGREE_LAT_M


def star(rng: random.Random, east_m: float, north_m: float, radius_m: float, corners: int = 9) -> Polygon:
    """Return a random polygon around a place; it is valid, for its corners go round once."""
    angles = [2 * math.pi * (corner + rng.uniform(0.0, 0.8)) / corners for corner in range(corners)]
    radii = [radius_m * rng.uniform(0.35, 1.0) for _ in angles]
    ring = zip(angles, radii, strict=True)
    return Polygon([at(east_m + r * math.cos(angle), north_m + r * math.sin(angle)) for angle, r in ring])


def draw_boundary(rng: random.Random) -> Drawn:
    """Draw the zone: one outline, or two that share an edge."""
    west, south, east, north = (rng.uniform(2400, 2900) * sign for sign in (-1, -1, 1, 1))
    split = rng.uniform(-900, 900)
    corners = [
        (west, south),
        (split, south - 120),
        (east, south + 60),
        (east + 90, north),
        (split, north - 70),
        (west, north),
    ]
    places = [at(*corner) for corner in corners]
    shapes: list[BaseGeometry] = [Polygon(places)]
    if rng.random() < 0.3:
        shapes = [Polygon([places[k] for k in ring]) for ring in ((0, 1, 4, 5), (1, 2, 3, 4))]
    entry = catalogue_row(rng, "boundary", "polygon", "unlimited", rng.choice([0.0, 5.0, None]))
    return drawn_layer("boundary", entry, {}, shapes)


def draw_survey(rng: random.Random) -> Drawn:
    """Draw what was surveyed: smaller than the zone, with a bay."""
    reach = rng.uniform(1300, 1900)
    ring = [
        (-reach, -reach),
        (reach, -reach + 50),
        (reach - 80, 0),
        (rng.uniform(100, 500), 60),
        (300, reach),
        (-reach, reach),
    ]
    entry = catalogue_row(rng, "surveyed", "polygon", "unlimited", 1.0)
    return drawn_layer("surveyed", entry, {}, [Polygon([at(*corner) for corner in ring])])


def draw_polygons(rng: random.Random, name: str) -> Drawn:
    """Draw a layer of cells that share edges, of polygons that overlap, or of both."""
    style = rng.choice(["cells", "stars", "both"])
    cells = draw_cells(rng) if style != "stars" else []
    shapes: list[BaseGeometry] = list(cells)
    for _ in range(rng.randint(4, 8) if style != "cells" else 0):
        polygon = star(
            rng, rng.uniform(-2200, 2200), rng.uniform(-2200, 2200), rng.uniform(150, 900), rng.randint(5, 14)
        )
        shapes.append(with_hole(polygon) if rng.random() < 0.2 else polygon)
    coverage = rng.choice(["unlimited", "boundary", "surveyed", "surveyed"])
    entry = catalogue_row(rng, name, "polygon", coverage, rng.choice([0.0, 2.0, 5.0, 5.0, 30.0, None]))
    columns = draw_columns(rng, entry, len(shapes))
    if rng.random() < 0.15:
        columns["accuracy_m"] = [rng.choice([1.0, 10.0, math.nan]) for _ in shapes]
    if rng.random() < 0.12:
        columns["position"] = [rng.choice(["unknown", None, None, "surveyed"]) for _ in shapes]
    layer = drawn_layer(name, entry, columns, shapes)
    layer.cells = cells
    return layer


def draw_columns(rng: random.Random, entry: dict[str, Any], count: int) -> dict[str, list[Any]]:
    """Draw the features' attributes, some missing, some outside the declared codes."""
    gaps = rng.choice([0.0, 0.0, 0.1, 0.3])
    statuses = [rng.choice(MISSING_CELLS) if rng.random() < gaps else rng.choice(STATUSES) for _ in range(count)]
    statuses[0] = "listed"
    if rng.random() < 0.5:
        entry["codes"] = {"status": ["listed", "suspected", "removed"]}
        if rng.random() < 0.5:
            statuses[-1] = "odd"
    codes: list[Any] = [float(rng.choice(CODES)) for _ in range(count)]
    codes = [math.nan if rng.random() < gaps else code for code in codes]
    codes[0] = 1101.0
    if rng.random() < 0.5:
        codes = [None if math.isnan(code) else str(int(code)) for code in codes]
    return {"status": statuses, "code": codes}


def draw_cells(rng: random.Random) -> list[Polygon]:
    """Draw a bent grid with gaps and holes; some shared edges have a vertex more on one side."""
    across, up = rng.randint(2, 4), rng.randint(2, 4)
    step = rng.uniform(230, 620)
    west, south = rng.uniform(-2300, 300), rng.uniform(-2300, 300)
    node = {
        (i, j): at(west + step * (i + rng.uniform(-0.2, 0.2)), south + step * (j + rng.uniform(-0.2, 0.2)))
        for i in range(across + 1)
        for j in range(up + 1)
    }
    cells: list[Polygon] = []
    for i in range(across):
        for j in range(up):
            ring = [node[i, j], node[i + 1, j], node[i + 1, j + 1], node[i, j + 1]]
            if rng.random() < 0.3:
                ring.insert(1, ((ring[0][0] + ring[1][0]) / 2, (ring[0][1] + ring[1][1]) / 2))
            cell = Polygon(ring)
            if rng.random() < 0.8 or not cells:
                cells.append(with_hole(cell) if rng.random() < 0.3 else cell)
    return cells


def with_hole(polygon: Polygon) -> Polygon:
    """Return the polygon with a hole of its own form, where there is room for one."""
    hole = shapely.affinity.scale(polygon, 0.35, 0.35, origin=polygon.centroid)
    return Polygon(polygon.exterior, [hole.exterior]) if polygon.contains_properly(hole) else polygon


def draw_stations(rng: random.Random) -> Drawn:
    """Draw stations of differing accuracy; of one perhaps only the town is known."""
    count = rng.randint(2, 4)
    shapes: list[BaseGeometry] = [Point(at(rng.uniform(-2500, 2500), rng.uniform(-2500, 2500))) for _ in range(count)]
    positions: list[str | None] = [None] * count
    if rng.random() < 0.6:
        shapes.append(star(rng, rng.uniform(-2000, 2000), rng.uniform(-2000, 2000), rng.uniform(100, 700)))
        positions.append("unknown")
    entry = catalogue_row(rng, "stations", "point", rng.choice(["unlimited", "surveyed"]), rng.choice([20.0, None]))
    columns = draw_columns(rng, entry, len(shapes))
    columns["accuracy_m"] = [rng.choice([5.0, 20.0, 400.0, math.nan]) for _ in shapes]
    columns["position"] = positions
    return drawn_layer("stations", entry, columns, shapes)


def draw_rivers(rng: random.Random) -> Drawn:
    """Draw two to four lines."""
    shapes: list[BaseGeometry] = [
        LineString([at(rng.uniform(-2800, 2800), rng.uniform(-2800, 2800)) for _ in range(rng.randint(2, 5))])
        for _ in range(rng.randint(2, 4))
    ]
    entry = catalogue_row(rng, "rivers", "line", rng.choice(["unlimited", "boundary"]), rng.choice([3.0, 10.0, None]))
    return drawn_layer("rivers", entry, draw_columns(rng, entry, len(shapes)), shapes)


def draw_attributes(rng: random.Random) -> dict[str, Any]:
    """Declare some of the attributes of sites."""
    declared: dict[str, Any] = {}
    if rng.random() < 0.7:
        declared["industry"] = {"title": both("industry"), "type": "code"}
        if rng.random() < 0.5:
            declared["industry"]["digits"] = 4
        if rng.random() < 0.4:
            declared["industry"]["codes"] = [*INDUSTRIES, "30*", "26*"]
        if rng.random() < 0.3:
            declared["industry"]["column"] = "hydm"
    declared["land_use"] = {"type": "code", "scheme": SCHEME, "scheme_column": "land_use_scheme"}
    if rng.random() < 0.6:
        declared["is_chemical"] = {"type": "boolean"}
    if rng.random() < 0.5:
        declared["has_permit"] = {"type": "boolean"}
    return declared


def draw_zone(rng: random.Random, attributes: dict[str, Any]) -> dict[str, Any]:
    """Draw ``zone.toml``."""
    zone: dict[str, Any] = {
        "id": "random",
        "title": both("random"),
        "centre": list(CENTRE),
        "boundary": "boundary",
    }
    accuracy_m = rng.choice([None, 0.0, 0.5, 0.5, 3.0])
    if accuracy_m is not None:
        zone["site_accuracy_m"] = accuracy_m
    zone["sliver_m2"] = rng.choice([1.0, 1.0, 5.0])
    if rng.random() < 0.3:
        zone["sliver_m"] = 0.5
    return {**zone, "attributes": attributes}


def draw_target() -> dict[str, Any]:
    """Return the one target."""
    quantity = {"kind": "layer_area", "layer": "zone_a", "within": "boundary"}
    basis = {"title": "random", "article": "1", "url": "", "verified": True}
    return {
        "id": "t",
        "title": both("t"),
        "quantity": quantity,
        "op": ">=",
        "value": 1.0,
        "unit": "km2",
        "basis": basis,
    }


# ---- its rules


def draw_rules(rng: random.Random, drawn: Sequence[Drawn], attributes: Row) -> list[dict[str, Any]]:
    """Draw 10 to 20 rules of every kind."""
    rules: list[dict[str, Any]] = []
    for number in range(rng.randint(10, 18)):
        layer = rng.choice([other for other in drawn if other.name != "surveyed"])
        rule = draw_rule(rng, f"R{number:02d}", layer, attributes)
        rules.append(rule)
        if "unless" in rule and rule["effect"] == "prohibit":
            rules.append({**rule, "id": f"R{number:02d}b", "effect": "approval", "applies": rule["unless"]})
            for key in ("unless", "proofs", "enabled", "reason"):
                rules[-1].pop(key, None)
    return rules


def draw_rule(rng: random.Random, name: str, layer: Drawn, attributes: Row) -> dict[str, Any]:
    """Draw one rule."""
    effect = rng.choices(EFFECTS[1:], weights=[4, 4, 4, 3, 1])[0]
    rule: dict[str, Any] = {
        "id": name,
        "layer": layer.name,
        "where": draw_where(rng, layer) if rng.random() < 0.5 else {},
        "applies": draw_applies(rng, attributes) if rng.random() < 0.7 else {},
        "test": draw_test(rng, layer),
        "effect": effect,
        "level": rng.choice(["national", "municipal", "zone", "unit"]),
        "dimension": rng.choice(["spatial", "emission", "risk", "resource"]),
        "says": both(name),
        "in_force": draw_dates(rng),
        "basis": {"title": "random", "article": "1", "url": "", "verified": True},
    }
    if rng.random() < 0.25:
        rule["unless"] = {"activity": rng.choice([["patrol"], ["patrol", "research"]])}
    if rng.random() < 0.2 and effect != "prohibit":
        stricter = EFFECTS[EFFECTS.index(effect) + 1 :]
        rule["proofs"] = [{"key": "has_permit", "says": both("permit"), "if_false": rng.choice(stricter)}]
    if rng.random() < 0.08:
        rule |= {"enabled": False, "reason": "not verified"}
    return rule


def draw_dates(rng: random.Random) -> dict[str, date]:
    """Draw when a rule is in force: mostly on the day, sometimes from or up to the very day."""
    before, after = DAY - timedelta(days=900), DAY + timedelta(days=300)
    return rng.choice(
        [{"start": before}] * 8
        + [
            {"start": before, "until": after},
            {"start": DAY},
            {"start": before, "until": DAY},
            {"start": after},
        ]
    )


def draw_where(rng: random.Random, layer: Drawn) -> dict[str, list[str]]:
    """Draw a filter whose values occur in the data."""
    if "status" not in layer.frame.columns:
        return {}
    where: dict[str, list[str]] = {}
    if rng.random() < 0.75:
        seen = {
            str(cell).strip() for cell in layer.frame["status"] if isinstance(cell, str) and cell not in MISSING_CELLS
        } - {"odd"}
        where["status"] = rng.sample(sorted(seen), rng.randint(1, min(2, len(seen))))
    if not where or rng.random() < 0.3:
        known = sorted({str(int(float(code))) for code in layer.frame["code"] if not pd.isna(code)})
        code = rng.choice(known)
        where["code"] = [rng.choice([code, f"{code[:2]}*"])]
    return where


def draw_applies(rng: random.Random, attributes: Row) -> dict[str, list[Any]]:
    """Draw whom a rule governs."""
    industries: list[list[Any]] = [["30*"], ["26*", "30*"], ["3011"], ["4411", "2611"]]
    choices: dict[str, list[list[Any]]] = {
        "kind": [["factory"], ["housing", "school"], ["road"], ["f*", "road"]],
        "industry": industries if "codes" in attributes.get("industry", {}) else [*industries, ["07*", "3011"]],
        "land_use": [["07*", "08*"], ["0701"], ["1401"]],
        "is_chemical": [[True], [False]],
    }
    keys = rng.sample(sorted(choices), rng.choice([1, 1, 1, 2]))
    return {key: rng.choice(choices[key]) for key in keys}


def draw_test(rng: random.Random, layer: Drawn) -> dict[str, Any]:
    """Draw a presence or an absence test."""
    presence = rng.random() < 0.75
    near, far = rng.choice(["<", "<="]), rng.choice([">", ">="])
    overlaps = ["overlap_m2", "overlap_m2", "overlap_share", "overlap_m", "overlap_point", "distance_m"]
    measure = rng.choice(overlaps if layer.kind == "polygon" else ["overlap_m2", *["distance_m"] * 5])
    if measure == "distance_m":
        limit = round(rng.uniform(20, 1800), rng.choice([0, 2]))
        return {"measure": measure, "op": near if presence else far, "value": limit}
    if measure == "overlap_point" or rng.random() < 0.5:
        return {"measure": measure, "op": ">" if presence else "<=", "value": 0.0}
    if measure == "overlap_share" and not presence and rng.random() < 0.4:
        return {"measure": measure, "op": "<", "value": 1.0}
    limit = {
        "overlap_m2": round(rng.uniform(20, 9000), 1),
        "overlap_share": round(rng.uniform(0.02, 0.95), 3),
        "overlap_m": round(rng.uniform(20, 900), 1),
    }[measure]
    return {"measure": measure, "op": far if presence else near, "value": limit}


# ---- its sites


def draw_sites(rng: random.Random, drawn: Sequence[Drawn], attributes: Row) -> gpd.GeoDataFrame:
    """Draw about 15 polygons, lines and points; some touch, some cross the edge of coverage."""
    named = draw_plain_sites(rng) + draw_sites_on_cells(rng, [cell for layer in drawn for cell in layer.cells])
    edge = drawn[1].frame.geometry.iloc[0].exterior
    for _ in range(2):
        place = edge.interpolate(rng.random(), normalized=True)
        named.append(("across the survey's edge", moved_to(star(rng, 0, 0, rng.uniform(40, 250)), place)))
    named.append(("at a station", drawn[-2].frame.geometry.iloc[0]))
    rng.shuffle(named)
    shapes = [shape for _, shape in named]
    columns = draw_site_columns(rng, len(named), attributes)
    ids = [f"S{number:02d}" for number in range(len(named))]
    frame = gpd.GeoDataFrame(
        {"site_id": ids, "name": [name for name, _ in named], **columns}, geometry=shapes, crs=CGCS2000
    )
    return frame.to_crs("EPSG:4544") if rng.random() < 0.3 else frame


def moved_to(shape: BaseGeometry, place: Point) -> BaseGeometry:
    """Move a shape from the centre to a place (degrees)."""
    return shapely.affinity.translate(shape, place.x - CENTRE[0], place.y - CENTRE[1])


def draw_plain_sites(rng: random.Random) -> list[tuple[str, BaseGeometry]]:
    """Draw sites that know nothing of the layers."""

    def anywhere(reach_m: float = 2400) -> tuple[float, float]:
        return rng.uniform(-reach_m, reach_m), rng.uniform(-reach_m, reach_m)

    parts = [star(rng, -400, 100, 200), star(rng, 500, -200, 150)]
    line = [at(*anywhere()) for _ in range(rng.randint(2, 4))]
    sites: list[tuple[str, BaseGeometry]] = [("plain", star(rng, *anywhere(), rng.uniform(20, 300))) for _ in range(3)]
    sites += [
        ("with a hole", with_hole(star(rng, *anywhere(), 260))),
        ("two parts", moved_to(MultiPolygon(parts), Point(at(*anywhere(1500))))),
        ("large", star(rng, *anywhere(900), 1500, 14)),
        ("far outside", star(rng, rng.uniform(4200, 6000), rng.uniform(-2000, 2000), 120)),
        ("line", LineString(line)),
        ("two lines", MultiLineString([[at(*anywhere()), at(*anywhere())] for _ in range(2)])),
        ("point", Point(at(*anywhere()))),
    ]
    if rng.random() < 0.3:
        sites.append(("two points", MultiPoint([at(*anywhere()), at(*anywhere())])))
    return sites


def draw_sites_on_cells(rng: random.Random, cells: Sequence[Polygon]) -> list[tuple[str, BaseGeometry]]:
    """Draw sites that share corners and edges with cells."""
    if not cells:
        return []
    cell = rng.choice(list(cells))
    corners = list(cell.exterior.coords)
    (ax, ay), (bx, by) = corners[0][:2], corners[1][:2]
    east_m, north_m = (bx - ax) * DEGREE_LON_M, (by - ay) * DEGREE_LAT_M
    length_m = math.hypot(east_m, north_m)
    # 60 m to the right of the edge, which is outside the cell, and 0.3 m² or 30 m² of overlap to its left
    right = (60 * north_m / length_m / DEGREE_LON_M, -60 * east_m / length_m / DEGREE_LAT_M)
    depth = -rng.choice([0.3, 0.3, 30.0]) / length_m / 60
    left = (right[0] * depth, right[1] * depth)
    outer = [(ax + right[0], ay + right[1]), (bx + right[0], by + right[1])]
    sites: list[tuple[str, BaseGeometry]] = [
        ("a cell itself", cell),
        ("touching", Polygon([(bx, by), (ax, ay), *outer])),
        ("sliver", Polygon([(bx + left[0], by + left[1]), (ax + left[0], ay + left[1]), *outer])),
        ("point on a corner", Point(corners[2])),
    ]
    if cell.interiors:
        inner = Polygon(cell.interiors[0])
        sites.append(("in a hole", shapely.affinity.scale(inner, 0.5, 0.5)))
        sites.append(("the hole itself", inner))
    if rng.random() < 0.25:
        sites.append(("line along an edge", LineString([corners[1], corners[0]])))
    return sites


def draw_site_columns(rng: random.Random, count: int, attributes: Row) -> dict[str, list[Any]]:
    """Draw the attributes of sites: texts, sets, numbers, words for booleans; some missing."""
    usual = rng.choice([0.0, 0.05, 0.2])

    def column(choices: Sequence[Any], missing: Sequence[Any] = MISSING_CELLS, gaps: float = usual) -> list[Any]:
        return [rng.choice(list(missing)) if rng.random() < gaps else rng.choice(list(choices)) for _ in range(count)]

    numbers = [3011.0, 3012.0, 2611.0, 4411.0, 301.0, 3011.5]
    texts = [*INDUSTRIES, " 2611 ", "30", "3", "3011;4411", "0711", "9999"]
    industry = column(numbers, [math.nan]) if rng.random() < 0.4 else column(texts)
    words = ["true", "false", "是", "否", "1", "0", "maybe", " true"]
    columns = {
        "kind": column([*SITE_KINDS, "housing;road", "factory; school", " road ", "road;", "road;/"]),
        attributes.get("industry", {}).get("column", "industry"): industry,
        "land_use": column(["0701", "0702", "0801", "07", "0", "1401", "0701;1401"]),
        "land_use_scheme": column([SCHEME, SCHEME, SCHEME, f" {SCHEME} ", "another"]),
        "has_permit": column(["true", "false", "是", "否"]),
        "is_chemical": column([True, False], [], gaps=0.0) if rng.random() < 0.3 else column(words),
        "activity": column(["patrol", "research", "factory", "patrol;factory"]),
    }
    if rng.random() < 0.3:
        columns["accuracy_m"] = column([0.0, 1.0, 8.0], [math.nan], gaps=0.3)
    if rng.random() < 0.15:
        columns.pop(rng.choice(["kind", "activity", "has_permit"]))
    if "is_chemical" not in attributes and rng.random() < 0.2:
        columns.pop("is_chemical")
    return columns


# ---- its faults and its files


def spoil(rng: random.Random, layer: Drawn, folder: Path) -> None:
    """Write a layer, now and then with bad features, in another CRS, or so that it fails."""
    frame = layer.frame
    if layer.name.startswith("zone_"):
        frame = with_bad_features(rng, layer.frame)
        layer.entry["crs"] = rng.choice([CGCS2000, CGCS2000, CGCS2000, "EPSG:4544", "EPSG:4326"])
    path = folder / layer.entry["path"]
    path.unlink(missing_ok=True)
    fault = rng.choice(FAULTS) if layer.name != "boundary" and rng.random() < 0.05 else ""
    spoil_row(layer, fault)
    if fault == "garbage":
        path.write_bytes(b"not a database")
    elif fault != "missing":
        crs = "EPSG:4523" if fault == "crs" else layer.entry["crs"]
        write_layer(spoilt(frame, layer.entry["id"], fault), path, crs)


def spoil_row(layer: Drawn, fault: str) -> None:
    """Write into the catalogue what makes a file a faulty one, or what allows it to be empty."""
    if fault == "few":
        layer.entry["min_features"] = len(layer.frame) + 1
    if fault == "checksum":
        layer.entry["source"]["sha256"] = "0" * 64
    if fault == "empty and may be":
        layer.entry |= {"may_be_empty": True, "codes": {"status": STATUSES[:3], "code": CODES}}


def spoilt(frame: gpd.GeoDataFrame, id_column: str, fault: str) -> gpd.GeoDataFrame:
    """Return the frame with a fault."""
    if fault == "id":
        return frame.rename(columns={id_column: "another"})
    if fault == "column":
        return frame.drop(columns="status", errors="ignore")
    if fault == "kind":
        shapes = [GeometryCollection([Point(CENTRE)]), *frame.geometry.iloc[1:]]
        return frame.set_geometry(gpd.GeoSeries(shapes, index=frame.index, crs=frame.crs))
    return frame.iloc[:0] if fault.startswith("empty") else frame


def with_bad_features(rng: random.Random, frame: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """Now and then give a feature no geometry, or an invalid one: a bow tie, or an edge there and back."""
    shapes = list(frame.geometry)
    victim = rng.randrange(len(shapes))
    bad = rng.choice(["none", "empty", "bow tie", "spike"]) if rng.random() < 0.2 else ""
    if bad == "none":
        shapes[victim] = None
    if bad == "empty":
        shapes[victim] = Polygon()
    if bad == "bow tie":
        east, north = rng.uniform(-1800, 1800), rng.uniform(-1800, 1800)
        corners = [(0, 0), (420, 300), (420, 0), (0, 350)]
        shapes[victim] = Polygon([at(east + x, north + y) for x, y in corners])
    if bad == "spike":
        ring = list(shapes[victim].exterior.coords)
        outward = at(rng.uniform(-2500, 2500), rng.uniform(-2500, 2500))
        shapes[victim] = Polygon([*ring[:2], outward, *ring[1:]])
    return frame.set_geometry(gpd.GeoSeries(shapes, index=frame.index, crs=frame.crs))


def write_layer(frame: gpd.GeoDataFrame, path: Path, crs: str) -> None:
    """Write a GeoPackage in a CRS of delivery."""
    delivered = frame.set_crs(crs, allow_override=True) if crs == "EPSG:4326" else frame.to_crs(crs)
    delivered.to_file(path, driver="GPKG", geometry_type="Unknown", engine="pyogrio")


def write_toml(path: Path, content: Mapping[str, Any]) -> None:
    """Write TOML: tables of tables and lists of tables as headings, all else inline."""
    lines = [f"{key} = {toml_value(value)}" for key, value in content.items() if not is_heading(value)]
    for key, value in content.items():
        if is_heading(value):
            tables = value.items() if isinstance(value, dict) else [("", table) for table in value]
            for name, table in tables:
                lines += ["", f"[{key}.{name}]" if name else f"[[{key}]]"]
                lines += [f"{inner} = {toml_value(item)}" for inner, item in table.items()]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def is_heading(value: object) -> bool:
    """Say whether a value is a table of tables or a list of tables."""
    inner = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    return bool(inner) and all(isinstance(item, dict) for item in inner)


def toml_value(value: object) -> str:
    """Return a value as TOML, inline."""
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(key)} = {toml_value(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(toml_value(item) for item in value) + "]"
    return json.dumps(value, ensure_ascii=False)
