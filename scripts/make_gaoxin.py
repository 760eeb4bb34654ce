"""
Make the data files of the embedded demonstration zone ``layers/gaoxin``.

``python scripts/make_gaoxin.py [--out layers/gaoxin]`` writes every ``.fgb`` file of the zone pack and its
raster, and the same bytes each time. The committed files were written with GDAL 3.12.4, GEOS 3.14.1, shapely 2.2.0
and numpy 2.4.6; the raster with rasterio 1.4.4 and its GDAL 3.10.3.

Nothing here is a survey. Outlines, towns, ridges, forests, plots and sites are invented
(``status = "synthetic"``, ids ``SYN-...``). Published facts are only these: the planning area of 313.5 km2,
the names of the ten towns, four of their areas, which town lies beside which, and the positions of two air
stations (a national station list of 2022-02, unverified).

Everything is drawn in metres in a Lambert azimuthal equal-area CRS on the CGCS2000 ellipsoid, then moved to
EPSG:4490 and rounded to 1e-8 degree (about 1 mm). Edges that two areas share are rounded once, so neighbours
agree vertex for vertex.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import shapely
from affine import Affine
from pyproj import Geod, Transformer
from pyproj.crs import ProjectedCRS
from pyproj.crs.coordinate_operation import LambertAzimuthalEqualAreaConversion
from rasterio.features import rasterize
from rasterio.io import MemoryFile
from rasterio.shutil import copy
from shapely.geometry import LineString, MultiLineString, Point, Polygon
from shapely.geometry.base import BaseGeometry

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Array = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Row = dict[str, Any]
Place = tuple[str, float, float, float, float]
Layers = dict[str, gpd.GeoDataFrame]

SEED = 20231020
GRID_DEG = 1e-8
CRS = "EPSG:4490"
CENTRE = (106.32, 29.50)
GEOD = Geod(a=6378137.0, rf=298.257222101)
LAEA = ProjectedCRS(
    LambertAzimuthalEqualAreaConversion(latitude_natural_origin=CENTRE[1], longitude_natural_origin=CENTRE[0]),
    geodetic_crs=CRS,
)
TO_METRES = Transformer.from_crs(CRS, LAEA, always_xy=True)
TO_DEGREES = Transformer.from_crs(LAEA, CRS, always_xy=True)

ZONE_M2 = 313.5e6
RED_LINE_M2 = 27.9e6
FOREST_SHARE = 0.4130
COVERAGE_M = 5_250.0
STEP_M = 10.4
SMALLEST_M2 = 400.0
RASTER_CRS = "EPSG:4544"
CELL_M = 10.0
OTHER, FOREST, WOODED, NO_DATA = 0, 1, 2, 255

# What follows is the drawing itself: km east and north of the centre, m where a name ends in _M.
# fmt: off

# Outline, clockwise from the north-west; scaled afterwards to the published area.
OUTLINE_KM = [
    (-3.4, 14.9), (-1.0, 14.2), (1.6, 15.3), (4.3, 14.0), (6.7, 12.9), (7.3, 9.5), (6.7, 6.9), (6.8, 3.0),
    (6.9, 0.0), (7.7, -2.6), (7.4, -6.0), (6.0, -7.9), (5.4, -10.3), (3.6, -12.2), (3.3, -14.6), (0.9, -14.4),
    (-0.9, -15.6), (-2.7, -12.6), (-4.9, -11.3), (-6.7, -8.0), (-6.9, -4.5), (-7.0, -1.0), (-6.4, 2.5),
    (-6.1, 6.0), (-5.5, 9.3), (-5.1, 12.4),
]

# Name, seat of the power diagram, area in km2 that it is driven to, published area (if any), key unit.
TOWNS: list[tuple[str, tuple[float, float], float, float | None, str]] = [
    ("虎溪街道", (-2.4, 11.2), 31.0, None, "SYN-ZH-K01"),
    ("香炉山街道", (3.4, 11.8), 24.0, None, "SYN-ZH-K02"),
    ("西永街道", (3.4, 7.4), 33.0, None, "SYN-ZH-K03"),
    ("曾家镇", (-2.6, 5.6), 39.0, None, "SYN-ZH-K04"),
    ("含谷镇", (3.8, 1.8), 30.0, None, "SYN-ZH-K05"),
    ("金凤镇", (-3.2, -0.6), 36.94, 36.94, "SYN-ZH-K06"),
    ("白市驿镇", (4.2, -4.4), 52.55, 52.55, "SYN-ZH-K07"),
    ("走马镇", (-3.6, -6.2), 29.9, 29.9, "SYN-ZH-K08"),
    ("石板镇", (1.4, -8.8), 18.96, None, "SYN-ZH-K09"),
    ("巴福镇", (0.4, -12.6), 18.15, 18.15, "SYN-ZH-K09"),
]

PRIORITY_UNITS = [
    "西部山脊北段", "西部山脊中段", "西部山脊南段", "东部山脊北段", "东部山脊南段", "生态绿心", "饮用水源",
]
KEY_UNITS = ["虎溪", "香炉山", "西永", "曾家", "含谷", "金凤", "白市驿", "走马", "石板巴福"]

# Crests of the two ridges, from south to north.
RIDGES_KM = {
    "西部": [
        (-5.4, -15.0), (-5.9, -11.0), (-6.1, -8.0), (-6.3, -4.5), (-6.15, -1.0), (-5.75, 2.5), (-5.3, 6.0),
        (-4.9, 9.5), (-4.2, 12.5), (-3.2, 15.0),
    ],
    "东部": [
        (4.0, -15.0), (4.3, -11.0), (5.6, -8.2), (6.75, -6.0), (6.8, -3.0), (6.3, 0.0), (6.1, 3.0),
        (6.3, 6.5), (6.5, 9.5), (6.2, 12.6), (5.6, 15.0),
    ],
}

# Ridge, southern and northern end, half width (all in m), function.
RED_LINE_PARTS = [
    ("西部", 8_900.0, 14_000.0, 520.0, "生物多样性维护"), ("西部", 4_500.0, 8_600.0, 400.0, "水土保持"),
    ("西部", -600.0, 4_200.0, 420.0, "水土保持"), ("西部", -4_600.0, -900.0, 380.0, "水源涵养"),
    ("西部", -9_800.0, -4_900.0, 450.0, "水源涵养"), ("东部", 8_200.0, 13_000.0, 430.0, "水土保持"),
    ("东部", 3_100.0, 7_900.0, 410.0, "水土保持"), ("东部", -1_900.0, 2_800.0, 420.0, "水土保持"),
    ("东部", -6_900.0, -2_200.0, 480.0, "生物多样性维护"), ("东部", -11_900.0, -7_200.0, 440.0, "水土保持"),
]

# Name, rank, half width in m, course from source to mouth. All run beyond the outline or into one that does.
RIVERS: list[tuple[str, str, float, list[tuple[float, float]]]] = [
    ("长江干流演示河段（虚构位置）", "干流", 330.0,
     [(-13.0, -21.5), (-7.0, -20.3), (-2.5, -18.0), (2.5, -17.6), (7.0, -17.8), (12.0, -15.5),
      (16.0, -15.5)]),
    ("演示主河（示意梁滩河）", "支流", 17.0,
     [(1.9, -10.2), (1.6, -6.5), (1.0, -2.5), (0.7, 2.0), (0.3, 6.5), (0.9, 10.5), (1.8, 15.0), (2.4, 20.6)]),
    ("演示支流·西沟", "支流", 6.0, [(-4.9, 7.6), (-2.6, 8.3), (0.5, 7.7)]),
    ("演示支流·凤溪", "支流", 7.0, [(-5.2, 0.6), (-2.4, -0.4), (0.8, 0.8)]),
    ("演示支流·走马沟", "支流", 6.0, [(-5.0, -6.2), (-2.2, -5.2), (1.4, -5.2)]),
    ("演示支流·东溪", "支流", 5.0, [(5.6, -1.2), (3.4, -1.6), (0.9, -1.8)]),
    ("演示支流·南河", "支流", 8.0, [(-2.6, -9.8), (-1.2, -13.0), (-0.3, -15.5), (-1.4, -18.3)]),
    ("演示支流·西侧河", "支流", 9.0, [(-9.8, 18.0), (-9.0, 9.0), (-9.6, 0.0), (-9.2, -8.0), (-10.0, -20.6)]),
]

# Built-up cores, which keep the forest thin: x, y, radius.
CORES_KM = [
    (-2.0, 11.2, 2.2), (3.3, 11.4, 1.9), (3.4, 7.4, 2.3), (-2.2, 5.2, 1.8), (-2.6, -0.9, 1.5),
    (3.4, 1.6, 1.8), (4.4, -4.3, 2.0), (-2.9, -4.6, 0.9), (1.6, -8.6, 1.2), (0.3, -12.4, 1.2),
]

HEART_M = (-700.0, -3_300.0)
SPRING_M = (-4_050.0, -7_000.0)
RESERVE_M = (-3_750.0, 11_500.0)
SCENIC_M = (-5_000.0, 6_300.0)

# Name, x, y, radius in m, stretch.
NO_BURN = [
    ("北部城区", 0.6, 10.4, 2_300.0, 0.9), ("西永", 3.6, 7.1, 1_300.0, 1.1),
    ("白市驿", 4.3, -4.2, 1_500.0, 1.1),
]
NOISE = [
    ("大学城", -2.9, 10.2, 620.0, 1.0), ("虎溪居住片", -1.6, 12.6, 480.0, 1.0),
    ("西永居住片", 2.2, 7.6, 520.0, 1.0), ("曾家居住片", -2.4, 5.0, 430.0, 1.0),
    ("含谷居住片", 3.0, 1.6, 420.0, 1.0), ("白市驿居住片", 4.6, -3.9, 500.0, 1.0),
    ("金凤居住片", -2.7, -0.9, 400.0, 1.0),
]
AIR = [
    ("受体敏感", 0.2, 10.6, 2_000.0, 0.9), ("高排放", 3.9, 6.6, 1_100.0, 1.0),
    ("高排放", 4.9, -5.2, 900.0, 1.0), ("布局敏感", -1.2, -10.4, 1_100.0, 0.8),
    ("弱扩散", 0.9, 0.6, 1_300.0, 2.4),
]
WORKS_KM = [
    (4.3, 6.4), (2.6, 8.4), (-1.6, 6.1), (4.4, 0.9), (4.9, -5.6), (3.4, -3.1), (-2.4, -1.8), (1.2, -8.8),
]

PLOT_STATES = [
    "名录-修复", None, "调查中", "名录-风险管控", "疑似污染地块", "非污染", "移出名录", "效果评估中",
    "污染地块(超筛选值)", "风险评估中", "疑似污染地块", "非污染",
]
PLOT_USES = ["0701", "100102", "0804", "0901", "1101", "1401", "0806"]
PLOT_TRADES = ["电镀", "化工", "有色金属冶炼", "机械加工", "制革"]

# Key, name, code, accuracy in m, longitude and latitude as published.
STATIONS = [
    ("SYN-Q1", "虎溪", "1418A", 350.0, (106.2953, 29.5983)),
    ("SYN-Q2", "白市驿", "1422A", 3_900.0, (106.3754, 29.4572)),
]
STATION_SOURCE = "全国空气质量监测站点表（2022-02），坐标未核实"
UNKNOWN_SOURCE = "规划第十一项提到该监测点；公开资料中未找到坐标，以演示镇域表示"

# What a sample site states unless its row says otherwise; None is "not stated".
SITE_DEFAULTS: Row = {
    "nature": "新建", "industry_code": None, "industry_scheme": "GB/T 4754-2017", "land_use": None,
    "land_use_scheme": "用地用海2023", "activity_type": None, "is_construction_site": "true",
    "is_production": "false", "is_chemical": "false", "is_tailings": "false",
    "tailings_upgrade": None, "is_backward": None, "coal_fired": None, "emits_pollutants": "false",
    "has_outfall": "false", "fuel_high_pollution": "false",
    "noise_emitting": "false", "use_change": "false", "remediation_project": None,
    "water_supply_project": None, "wetland_use": "none", "no_land_taken": "false", "redline_opinion": None,
    "unavoidable_report": None, "soil_survey_reviewed": None, "energy_review": None, "eia_approved": None,
    "water_permit": None, "total_offset": None, "capacity_swap": None, "clean_production": None,
    "forest_consent": None, "accuracy_m": 1.0,
}

# Number, name (the town is put before it), industry and land-use code, what it states beyond the defaults.
SITES = """
1 演示集成电路研发楼 7320 0802
2 演示仓储改建（与名录地块相邻） 5990 110101 nature=改建
3 演示停车场（与基本农田有缝隙重叠） 5442 1208
4 演示原料药厂 2710 100102 activity_type=other is_production=true emits_pollutants=true noise_emitting=true
5 演示森林管护站 0231 0801 activity_type=1
6 演示国家重大输水管线 4610 1301 activity_type=national_major unavoidable_report=true
7 演示穿山联络道 4812 1202 activity_type=6
8 演示林间民宿 6110 0901 forest_consent=true
9 演示安置房（原厂区改住宅） 7010 0701 use_change=true soil_survey_reviewed=true
10 演示商品房 7010 0701 use_change=true
11 演示地块修复工程 7726 100102 remediation_project=true
12 演示生物实验中心 7340 0802
13 演示物流分拨中心 5990 110101
14 演示水泥粉磨站 3011 100102 PRODUCER energy_review=true eia_approved=true water_permit=true
15 演示平板玻璃厂 3041 100102 PRODUCER energy_review=false eia_approved=true water_permit=true
16 演示煤制品车间（代码为2011版） 2520 100102 industry_scheme=GB/T_4754-2011 is_backward=false
17 演示小区（用地代码缺前导零） 7010 701 use_change=true soil_survey_reviewed=true
18 演示取水泵房 4610 1301 nature=扩建 water_supply_project=true
19 演示教学楼 8341 0804 nature=改建
20 演示实训楼（三公里线内侧） 8341 0804
21 演示图书馆（三公里线外侧） 8341 0803
22 演示零部件厂 3484 100101 is_production=true
23 演示物流园（跨区界） 5990 110101
24 演示通信基站 6312 1306
25 演示有机原料项目 2614 100103 PRODUCER is_chemical=true energy_review=true
26 演示燃煤锅炉房 4430 1305 is_production=true emits_pollutants=true fuel_high_pollution=true
27 演示中学扩建 8334 080403 nature=扩建
28 演示滨水步道（申报占用湿地） 4819 1401 wetland_use=other
29 演示整车工厂 3611 100102 is_production=true
30 演示自然教育驿站 7711 0803
"""
PRODUCER = {
    "is_production": "true", "emits_pollutants": "true", "noise_emitting": "true", "is_backward": "false",
}

# Layers that make a difference to a site; "quiet" ground is clear of them all.
CONFLICTS = (
    "red_line", "forest", "plots", "farmland", "water_source", "no_burn", "noise", "reserve", "scenic",
    "key_enterprises", "priority",
)
NORTH_EAST = (3.2, 9.0)
# fmt: on


# ------------------------------------------------------------------------------- coordinates and areas


def metres(geometry: BaseGeometry) -> BaseGeometry:
    """Move a geometry of EPSG:4490 to the drawing CRS (m)."""
    return shapely.transform(geometry, lambda xy: np.column_stack(TO_METRES.transform(xy[:, 0], xy[:, 1])))


def degrees(geometry: BaseGeometry) -> BaseGeometry:
    """Move a geometry of the drawing CRS (m) to EPSG:4490, not yet rounded."""
    return shapely.transform(geometry, lambda xy: np.column_stack(TO_DEGREES.transform(xy[:, 0], xy[:, 1])))


def rounded(geometry: BaseGeometry) -> BaseGeometry:
    """Put a geometry of EPSG:4490 on the grid of 1e-8 degree and keep it valid."""
    return on_grid(shapely.set_precision(geometry, GRID_DEG))


def on_grid(geometry: BaseGeometry) -> BaseGeometry:
    """Take the nearest decimals, so that every way to the grid gives the same doubles."""
    return shapely.transform(geometry, lambda xy: np.round(xy, 8))


def area_m2(geometry: BaseGeometry) -> float:
    """Measure the ellipsoidal area (m2) in EPSG:4490; edges are straight in longitude and latitude."""
    return abs(float(GEOD.geometry_area_perimeter(shapely.segmentize(geometry, 0.0005))[0]))


def stream(*key: int) -> np.random.Generator:
    """Start a generator of its own for each thing drawn, so that changing one leaves the others alone."""
    return np.random.default_rng([SEED, *key])


def in_metres(x_km: float, y_km: float) -> tuple[float, float]:
    """Turn km into m."""
    return 1000.0 * x_km, 1000.0 * y_km


# ---------------------------------------------------------------------------------------- natural lines


def fractal(rng: np.random.Generator, points: Iterable[Sequence[float]] | Array, levels: int, rough: float) -> Array:
    """Halve the segments of a polyline (m) ``levels`` times and push the midpoints sideways by ``rough``."""
    line = np.asarray(list(points), dtype=float)
    for _ in range(levels):
        start, step = line[:-1], np.diff(line, axis=0)
        push = np.clip(rng.normal(0.0, rough, len(step)), -2 * rough, 2 * rough)
        middle = start + step / 2 + np.column_stack((-step[:, 1], step[:, 0])) * push[:, None]
        refined = np.empty((len(line) + len(middle), 2))
        refined[0::2], refined[1::2] = line, middle
        line = refined
    return line


def blob(
    rng: np.random.Generator, centre: Sequence[float], radius: float, stretch: float = 1.0, tilt: float = 0.0
) -> Polygon:
    """Draw a roughened ellipse (m), ``stretch`` times as long along ``tilt`` (radians east of north)."""
    turn = np.linspace(0, 2 * math.pi, 9)[:-1]
    reach = radius * (1 + np.clip(rng.normal(0, 0.13, 8), -0.25, 0.25))
    across, along = reach * np.cos(turn), reach * stretch * np.sin(turn)
    x = centre[0] + across * math.cos(tilt) + along * math.sin(tilt)
    y = centre[1] - across * math.sin(tilt) + along * math.cos(tilt)
    ring = np.column_stack((x, y))
    return Polygon(fractal(rng, np.vstack((ring, ring[:1])), 4, 0.09)).buffer(0)


def crest(side: str, y: Array) -> Array:
    """Give x (m) of a ridge's crest at each y (m)."""
    knots = np.asarray(RIDGES_KM[side]) * 1000.0
    x: Array = np.interp(y, knots[:, 1], knots[:, 0])
    return x


def crest_x(side: str, y: float) -> float:
    """Give x (m) of a ridge's crest at one y (m)."""
    return float(crest(side, np.array([y]))[0])


# ------------------------------------------------------------------------- the zone and its partitions


def outline() -> Polygon:
    """Draw the zone's outline (m), scaled to the published planning area."""
    knots = [in_metres(x, y) for x, y in OUTLINE_KM]
    ring = Polygon(fractal(stream(1), [*knots, knots[0]], 6, 0.1))
    scale = math.sqrt(ZONE_M2 / ring.area)
    return shapely.transform(ring, lambda xy: xy * scale)


def power_edges(seats: Array, weights: Array, reach: BaseGeometry) -> dict[tuple[int, int], LineString]:
    """Give the straight edges (m) of the power diagram by the pair of cells that they part."""
    edges = {}
    for i in range(len(seats)):
        for j in range(i + 1, len(seats)):
            gap = seats[j] - seats[i]
            length = float(np.hypot(*gap))
            foot = seats[i] + gap / length * (length**2 + weights[i] - weights[j]) / (2 * length)
            along = np.array([-gap[1], gap[0]]) / length
            low, high = between_others(seats, weights, (i, j), foot, along)
            if low < high:
                ends = np.round([foot + low * along, foot + high * along], 3)  # three edges meet in one point
                line = LineString(ends).intersection(reach)
                if line.length > 1.0:
                    edges[i, j] = line
    return edges


def between_others(
    seats: Array, weights: Array, pair: tuple[int, int], foot: Array, along: Array
) -> tuple[float, float]:
    """Give the part (m from ``foot``) of the line between two cells that no other cell takes."""
    low, high = -30_000.0, 30_000.0
    own = seats[pair[0]]
    for k in set(range(len(seats))) - set(pair):
        slope = 2 * float(along @ (seats[k] - own))
        power = seats[k] @ seats[k] - own @ own + weights[pair[0]] - weights[k]
        room = float(power - 2 * foot @ (seats[k] - own)) / slope
        low, high = (low, min(high, room)) if slope > 0 else (max(low, room), high)
    return low, high


def cells(zone: Polygon, seats: Array, weights: Array) -> list[BaseGeometry]:
    """
    Cut the zone into towns (m) along arcs that are perturbed once, so both neighbours get the same one.

    A splinter beyond an arc goes to the neighbour with the longest common edge.
    """
    edges = power_edges(seats, weights, zone.convex_hull.buffer(400.0))
    arcs = [LineString(fractal(stream(2, i, j), edge.coords, 7, 0.075)) for (i, j), edge in edges.items()]
    mesh = shapely.union_all([zone.exterior, *arcs])
    faces = [face for face in shapely.polygonize([mesh]).geoms if zone.contains(face.representative_point())]
    faces.sort(key=lambda face: -face.area)
    towns = {}
    for face in faces[: len(seats)]:
        point = np.array(face.representative_point().coords[0])
        towns[int(np.argmin(((seats - point) ** 2).sum(axis=1) - weights))] = face
    for face in faces[len(seats) :]:
        best = max(towns, key=lambda key: towns[key].intersection(face).length)
        towns[best] = towns[best].union(face)
    return [towns[key] for key in sorted(towns)]


def towns_in_metres(zone: Polygon) -> list[BaseGeometry]:
    """Fill the zone with ten towns (m): weights are driven until each has the area that it should have."""
    seats = np.array([seat for _, seat, _, _, _ in TOWNS]) * 1000.0
    wanted = np.array([wish for _, _, wish, _, _ in TOWNS]) * 1e6
    weights = np.zeros(len(TOWNS))
    for _ in range(60):
        towns = cells(zone, seats, weights)
        missing = wanted - np.array([town.area for town in towns])
        if np.abs(missing).max() < 2_000.0:
            break
        weights = weights + 0.45 * missing
    return cells(zone, seats, weights)


@dataclass(frozen=True)
class Units:
    """What cuts the zone into control units (m): feet of the ridges, cross cuts, two closed outlines."""

    west_foot: Array
    east_foot: Array
    heart: Polygon
    spring: Polygon
    west_cuts_y: tuple[float, float] = (4_300.0, -3_900.0)
    east_cut_y: float = 2_200.0

    def lines(self) -> list[BaseGeometry]:
        """Give everything that is to be noded with the towns' arcs."""
        cuts = [
            LineString([(crest_x("西部", y) - 3_000, y - 300), (self.foot_x(self.west_foot, y), y)])
            for y in self.west_cuts_y
        ]
        y = self.east_cut_y
        cuts.append(LineString([(self.foot_x(self.east_foot, y), y), (9_500, y + 200)]))
        feet = [LineString(self.west_foot), LineString(self.east_foot)]
        return [*feet, *cuts, self.heart.exterior, self.spring.exterior]

    @staticmethod
    def foot_x(foot: Array, y: float) -> float:
        """Give x (m) of a foot line at y (m)."""
        return float(np.interp(y, foot[:, 1], foot[:, 0]))

    def label(self, point: Point, key_unit: str) -> str:
        """Give the code of the unit that a point (m) of a town belongs to."""
        if self.spring.contains(point):
            return "SYN-ZH-P07"
        if self.heart.contains(point):
            return "SYN-ZH-P06"
        if point.x < self.foot_x(self.west_foot, point.y):
            return f"SYN-ZH-P0{1 + sum(point.y < cut for cut in self.west_cuts_y)}"
        if point.x > self.foot_x(self.east_foot, point.y):
            return f"SYN-ZH-P0{4 + (point.y < self.east_cut_y)}"
        return key_unit


def foot(side: str, inward_m: float, key: int) -> Array:
    """Draw the foot of a ridge (m), single-valued in y, from south of the zone to north of it."""
    y = np.arange(-19_000.0, 19_001.0, 80.0)
    coarse = stream(key).normal(0, 170.0, 40)
    wave = np.interp(np.linspace(0, 39, len(y)), np.arange(40), coarse) + stream(key, 1).normal(0, 14.0, len(y))
    return np.column_stack((crest(side, y) + inward_m + wave, y))


def unit_cuts() -> Units:
    """Draw the cuts between control units."""
    heart = blob(stream(12), HEART_M, 900.0, 1.7, 0.25)
    return Units(foot("西部", 1_050.0, 10), foot("东部", -950.0, 11), heart, blob(stream(13), SPRING_M, 950.0))


def partitions(zone: Polygon, towns: list[BaseGeometry]) -> tuple[gpd.GeoDataFrame, gpd.GeoDataFrame, BaseGeometry]:
    """Give towns, units and outline (EPSG:4490) from one snap-rounded mesh: all agree vertex for vertex."""
    cuts = unit_cuts()
    lines = [
        zone.exterior,
        *(town.boundary for town in towns),
        *(shapely.segmentize(c, 80.0) for c in cuts.lines()),
    ]
    mesh = shapely.union_all([degrees(line) for line in lines], grid_size=GRID_DEG)
    inside = degrees(zone)
    faces = [on_grid(f) for f in shapely.polygonize([mesh]).geoms if inside.contains(f.representative_point())]
    tree = shapely.STRtree(towns)
    pieces: dict[str, list[BaseGeometry]] = {}
    for face in faces:
        point = metres(face).representative_point()
        name, _, _, _, key_unit = TOWNS[int(tree.nearest(point))]
        for key in (name, cuts.label(point, key_unit)):
            pieces.setdefault(key, []).append(face)
    merged = {key: shapely.coverage_union_all(parts) for key, parts in pieces.items()}
    return town_table(merged), unit_table(merged), shapely.coverage_union_all(faces)


def town_table(merged: Mapping[str, BaseGeometry]) -> gpd.GeoDataFrame:
    """Give the rows of the layer ``towns``."""
    return table(
        [
            {"id": f"SYN-T{i:02d}", "name": name, "area_published_km2": published, "geometry": merged[name]}
            for i, (name, _, _, published, _) in enumerate(TOWNS, 1)
        ]
    )


def unit_table(merged: Mapping[str, BaseGeometry]) -> gpd.GeoDataFrame:
    """Give the rows of the layer ``units``; there is no unit of the class 一般."""
    rows = []
    for letter, kind, names in (("P", "优先", PRIORITY_UNITS), ("K", "重点", KEY_UNITS)):
        for i, name in enumerate(names, 1):
            code = f"SYN-ZH-{letter}{i:02d}"
            full = f"演示{kind}单元·{name}"
            rows.append({"id": code, "code": code, "name": full, "class": kind, "geometry": merged[code]})
    return table(rows)


def table(rows: Sequence[Row]) -> gpd.GeoDataFrame:
    """Make a table in EPSG:4490, each row marked synthetic unless it says otherwise."""
    marked = [{**row, "status": row.get("status", "synthetic"), "geometry": row["geometry"]} for row in rows]
    frame = gpd.GeoDataFrame(marked, geometry="geometry", crs=CRS)
    return frame[[*(c for c in frame.columns if c not in ("status", "geometry")), "status", "geometry"]]


# --------------------------------------------------------------------------- ridges, rivers, forest


def band(part: int, factor: float) -> Polygon:
    """Draw a part of the red line (m): a lens along a ridge with rough edges, ``factor`` times as wide."""
    side, south, north, half_width, _ = RED_LINE_PARTS[part]
    rng = stream(20, part)
    y = np.linspace(south, north, 7)
    taper = factor * half_width * np.maximum(np.sin(np.linspace(0, math.pi, 7)), 0.0) ** 0.4
    left = np.column_stack((crest(side, y) - taper * rng.uniform(0.75, 1.2, 7), y))
    right = np.column_stack((crest(side, y) + taper * rng.uniform(0.75, 1.2, 7), y))
    ring = np.vstack((left, right[::-1][1:-1], left[:1]))
    return Polygon(fractal(rng, ring, 5, 0.06)).buffer(0)


def red_line(zone_deg: BaseGeometry) -> gpd.GeoDataFrame:
    """Widen the bands along both ridges by one factor until their area inside the zone is the wanted one."""
    low, high = 0.3, 2.5
    for _ in range(22):
        factor = (low + high) / 2
        parts = [rounded(degrees(band(i, factor)).intersection(zone_deg)) for i in range(len(RED_LINE_PARTS))]
        low, high = (factor, high) if area_m2(shapely.union_all(parts)) < RED_LINE_M2 else (low, factor)
    rows = []
    for i, (geometry, (side, *_, purpose)) in enumerate(zip(parts, RED_LINE_PARTS, strict=True), 1):
        code, name = f"SYN-ERL-{i:02d}", f"演示生态保护红线·{side}山脊{i:02d}"
        rows.append({"id": code, "code": code, "name": name, "type": purpose, "geometry": geometry})
    return table(rows)


def rivers() -> gpd.GeoDataFrame:
    """Draw river areas between their banks; a tributary ends at the bank of the river that it joins."""
    rows: list[Row] = []
    taken: list[BaseGeometry] = []
    for i, (name, rank, half, _) in enumerate(RIVERS):
        course = river_course(i)
        widths = np.linspace(0.55, 1.25, len(course) - 1) * half
        reaches = [LineString(course[k : k + 2]).buffer(widths[k], quad_segs=3) for k in range(len(course) - 1)]
        area = rounded(degrees(shapely.union_all(reaches).simplify(0.5)))
        geometry = rounded(shapely.segmentize(area, 0.0008).difference(shapely.union_all(taken)))
        geometry = max(shapely.get_parts(geometry), key=lambda part: part.area)
        taken.append(geometry)
        rows.append({"id": f"SYN-R{i + 1:02d}", "name": name, "rank": rank, "geometry": geometry})
    return table(rows)


def river_course(number: int) -> Array:
    """Draw the centre line (m) of the river with this number: streams meander more than the great river."""
    knots = [in_metres(x, y) for x, y in RIVERS[number][3]]
    levels, rough = (6, 0.10) if number else (4, 0.03)
    return fractal(stream(30, number + 1), knots, levels, rough)


def waves(rng: np.random.Generator, x: Array, y: Array, size: float) -> Array:
    """Give smooth noise on a grid (m): random values every ``size`` m, blended by a smooth step."""
    column, row = (x - x[0]) / size, (y - y[0]) / size
    knots = rng.normal(0, 1, (int(row[-1]) + 3, int(column[-1]) + 3))
    i, j = row.astype(int), column.astype(int)
    p, q = row - i, column - j
    p, q = (p * p * (3 - 2 * p))[:, None], (q * q * (3 - 2 * q))[None, :]
    south = knots[np.ix_(i, j)] * (1 - q) + knots[np.ix_(i, j + 1)] * q
    north = knots[np.ix_(i + 1, j)] * (1 - q) + knots[np.ix_(i + 1, j + 1)] * q
    blended: Array = south * (1 - p) + north * p
    return blended


def woodland(x: Array, y: Array) -> Array:
    """Say how wooded each node of a grid (m) is: ridges up, streams and built-up cores down, and noise."""
    gx, gy = np.meshgrid(x, y)
    field = 1.9 * np.exp(-(((gx - crest("西部", gy)) / 1_150) ** 2))
    field += 1.9 * np.exp(-(((gx - crest("东部", gy)) / 1_050) ** 2))
    field += 1.5 * np.exp(-(((gx - HEART_M[0]) / 1_000) ** 2 + ((gy - HEART_M[1]) / 1_700) ** 2))
    for cx, cy, radius in CORES_KM:
        field -= 1.1 * np.exp(-(((gx - 1000 * cx) ** 2 + (gy - 1000 * cy) ** 2) / (1000 * radius) ** 2))
    main = river_course(1)
    field -= 1.3 * np.exp(-(((gx - np.interp(gy, main[:, 1], main[:, 0])) / 260) ** 2))
    for octave, size in enumerate([2_600, 1_300, 650, 320, 160, 80, 40]):
        field += 0.62 * 0.70**octave * waves(stream(40, octave), x, y, size)
    return field


# Marching squares: the sides that a contour joins in a cell, by the corners above it (1, 2, 4, 8 from the
# south-west, anticlockwise).
CASES = {
    1: ["ws"], 2: ["se"], 3: ["we"], 4: ["en"], 5: ["wn", "se"], 6: ["sn"], 7: ["wn"],
    8: ["nw"], 9: ["ns"], 10: ["ws", "en"], 11: ["ne"], 12: ["ew"], 13: ["es"], 14: ["sw"],
}  # fmt: skip


def contour(field: Array, level: float, x: Array, y: Array) -> Array:
    """Give the segments (n, 2 ends, x and y in m) where a field crosses a level; ends that meet are equal."""
    above = field > level
    crossing = np.full((2, *field.shape, 2), np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        east = np.clip((level - field[:, :-1]) / np.diff(field, axis=1), 0.08, 0.92)
        north = np.clip((level - field[:-1]) / np.diff(field, axis=0), 0.08, 0.92)
    crossing[0, :, :-1, 0], crossing[0, :, :-1, 1] = x[:-1] + east * np.diff(x), y[:, None]
    crossing[1, :-1, :, 0], crossing[1, :-1, :, 1] = x[None, :], y[:-1, None] + north * np.diff(y)[:, None]
    case = above[:-1, :-1] * 1 + above[:-1, 1:] * 2 + above[1:, 1:] * 4 + above[1:, :-1] * 8
    sides = {
        "s": crossing[0, :-1, :-1],
        "n": crossing[0, 1:, :-1],
        "w": crossing[1, :-1, :-1],
        "e": crossing[1, :-1, 1:],
    }
    found = [
        np.stack((sides[a][case == number], sides[b][case == number]), axis=1)
        for number, joins in CASES.items()
        for a, b in (tuple(join) for join in joins)
    ]
    return np.concatenate(found)


@dataclass(frozen=True)
class Woods:
    """The field of the forest and that of its kinds on one grid (m), with the levels that part them."""

    x: Array
    y: Array
    cover: Array
    kind: Array
    edge: float
    kinds: Array

    def at(self, field: Array, points: Array) -> Array:
        """Interpolate a field at points (m) inside the grid."""
        column, row = (points[:, 0] - self.x[0]) / STEP_M, (points[:, 1] - self.y[0]) / STEP_M
        i, j = row.astype(int), column.astype(int)
        p, q = row - i, column - j
        south = field[i, j] * (1 - q) + field[i, j + 1] * q
        north = field[i + 1, j] * (1 - q) + field[i + 1, j + 1] * q
        value: Array = south * (1 - p) + north * p
        return value

    def wooded(self, points: Array) -> Bools:
        """Say which points (m) are forest."""
        return self.at(self.cover, points) > self.edge

    def segments(self) -> Array:
        """Give the edges of the forest (m), and the edges between kinds where there is forest."""
        parts = np.concatenate([contour(self.kind, level, self.x, self.y) for level in self.kinds])
        near = self.at(self.cover, parts.mean(axis=1)) > self.edge - 0.25
        return np.concatenate([contour(self.cover, self.edge, self.x, self.y), parts[near]])

    def code_of(self, points: Array) -> list[tuple[str, str | None]]:
        """Give land code and flag of a special shrub land at points (m)."""
        kinds = [("0302", None), ("0301", None), ("0305", "true"), ("0305", "false"), ("0307", None)]
        return [kinds[k] for k in np.digitize(self.at(self.kind, points), self.kinds)]


def woods(zone: BaseGeometry) -> Woods:
    """Make the forest's fields (m), cut at the level that leaves the wanted share of the zone."""
    x, y = np.arange(-8_600.0, 9_000.0, STEP_M), np.arange(-16_400.0, 16_400.0, STEP_M)
    cover = woodland(x, y)
    gx, gy = np.meshgrid(x, y)
    inside = shapely.contains_xy(zone, gx.ravel(), gy.ravel()).reshape(gx.shape)
    edge = float(np.quantile(cover[inside], 1 - FOREST_SHARE))
    kind = waves(stream(41), x, y, 2_100)
    kind += 0.45 * waves(stream(42), x, y, 700) + 0.2 * waves(stream(43), x, y, 260)
    kinds = np.quantile(kind[inside & (cover > edge)], [0.09, 0.86, 0.981, 0.989])
    return Woods(x, y, cover, kind, edge, kinds)


def forest_faces(zone_deg: BaseGeometry, fields: Woods) -> list[Polygon]:
    """Cut patches (EPSG:4490), parted by kind, from one mesh with the outline; drop the smallest."""
    ends = fields.segments().reshape(-1, 2)
    lon, lat = TO_DEGREES.transform(ends[:, 0], ends[:, 1])
    lines = MultiLineString(list(np.round(np.column_stack((lon, lat)), 8).reshape(-1, 2, 2)))
    mesh = shapely.union_all([lines, zone_deg.boundary], grid_size=GRID_DEG)
    faces = np.array(shapely.get_parts(shapely.polygonize([mesh])))
    faces = faces[shapely.contains_xy(zone_deg, shapely.get_coordinates(shapely.point_on_surface(faces)))]
    inner = shapely.get_coordinates(metres(shapely.multipoints(shapely.point_on_surface(faces))))
    patches = [on_grid(face) for face in faces[fields.wooded(inner)] if area_m2(face) >= SMALLEST_M2]
    return without_small_holes(patches)


def without_small_holes(faces: Sequence[Polygon]) -> list[Polygon]:
    """Fill the holes below the smallest mapped area, unless another patch lies in the hole."""
    tree = shapely.STRtree(faces)

    def stays(hole: Polygon) -> bool:
        return area_m2(hole) >= SMALLEST_M2 or len(tree.query(hole.buffer(-1e-7), "intersects")) > 0

    return [Polygon(f.exterior, [ring for ring in f.interiors if stays(Polygon(ring))]) for f in faces]


def forest(fields: Woods, zone_deg: BaseGeometry, red: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """Make the forest patches with their codes; those that reach into the red line are of public welfare."""
    faces = forest_faces(zone_deg, fields)
    points = np.array([metres(face.representative_point()).coords[0] for face in faces])
    guarded = shapely.intersects(np.array(faces), shapely.union_all(red.geometry.values))
    rows = []
    for i, (face, kind, guard) in enumerate(zip(faces, fields.code_of(points), guarded, strict=True), 1):
        row = {"id": f"SYN-F{i:04d}", "code": kind[0], "special_shrub": kind[1]}
        row |= {"class": "public_welfare" if guard else "commercial", "name": f"演示林斑{i:04d}"}
        rows.append({**row, "geometry": face})
    return table(rows)


# ------------------------------------------------------------------------------ the remaining layers


def nested(
    key: int, centre: Sequence[float], size: tuple[float, float], shares: Sequence[float], zone: BaseGeometry
) -> list[BaseGeometry]:
    """
    Cut nested areas within the zone (EPSG:4490) from one shape (radius in m, stretch) at several scales.

    Each area lies between one outline and the next; neighbours share their edge vertex for vertex.
    """
    shape, shift = blob(stream(key), (0.0, 0.0), *size, 0.16), np.array(centre)
    outlines = [shapely.transform(shape, lambda xy, share=share: xy * share + shift) for share in shares]
    mesh = shapely.union_all([*(degrees(o.exterior) for o in outlines), zone.boundary], grid_size=GRID_DEG)
    rings: list[list[BaseGeometry]] = [[] for _ in outlines]
    for face in shapely.polygonize([mesh]).geoms:
        point = face.representative_point()
        depth = sum(o.contains(metres(point)) for o in outlines) if zone.contains(point) else 0
        if depth:
            rings[depth - 1].append(on_grid(face))
    return [shapely.coverage_union_all(parts) for parts in rings]


def water_source(zone_deg: BaseGeometry) -> gpd.GeoDataFrame:
    """Draw a drinking-water source: grade 二级 is the ring around grade 一级."""
    second, first = nested(50, SPRING_M, (720.0, 1.1), (1.0, 0.42), zone_deg)
    name = "演示饮用水水源保护区"
    return table(
        [
            {"id": "SYN-W01", "grade": "一级", "name": name, "geometry": first},
            {"id": "SYN-W02", "grade": "二级", "name": name, "geometry": second},
        ]
    )


def reserve(zone_deg: BaseGeometry) -> gpd.GeoDataFrame:
    """Draw an invented nature reserve with its zones under the old and under the new regulations."""
    parts = nested(51, RESERVE_M, (880.0, 2.0), (1.0, 0.6, 0.32), zone_deg)
    zones = [("实验区", "一般控制区"), ("缓冲区", "核心保护区"), ("核心区", "核心保护区")]
    return table(
        [
            {
                "id": f"SYN-N{i:02d}",
                "name": "演示自然保护区（虚构）",
                "zone_old": old,
                "zone": new,
                "geometry": part,
            }
            for i, (part, (old, new)) in enumerate(zip(parts, zones, strict=True), 1)
        ]
    )


def scenic(zone_deg: BaseGeometry) -> gpd.GeoDataFrame:
    """Draw an invented scenic area on the western ridge."""
    rest, core = nested(52, SCENIC_M, (800.0, 1.7), (1.0, 0.5), zone_deg)
    name = "演示风景名胜区（虚构）"
    return table(
        [
            {"id": "SYN-J01", "name": name, "core": "核心景区", "geometry": core},
            {"id": "SYN-J02", "name": name, "core": "其他", "geometry": rest},
        ]
    )


def disjoint(shapes: Iterable[BaseGeometry], zone_deg: BaseGeometry, away: BaseGeometry) -> list[BaseGeometry]:
    """Cut shapes (m) to the zone (EPSG:4490), without ``away`` and earlier ones; largest parts only."""
    taken, kept = away, []
    for shape in shapes:
        part = rounded(rounded(degrees(shape)).intersection(zone_deg).difference(taken))
        part = max(shapely.get_parts(part), key=lambda piece: piece.area)
        kept.append(part)
        taken = shapely.union_all([taken, part])
    return kept


def areas(
    key: int, letter: str, label: tuple[str, str], places: Sequence[Place], zone_deg: BaseGeometry
) -> gpd.GeoDataFrame:
    """Draw a layer of separate outlines; ``label`` is a column and the pattern of its values."""
    shapes = (blob(stream(key, i), in_metres(x, y), r, s) for i, (_, x, y, r, s) in enumerate(places))
    rows = []
    for i, (part, place) in enumerate(zip(disjoint(shapes, zone_deg, Polygon()), places, strict=True), 1):
        rows.append({"id": f"SYN-{letter}{i:02d}", label[0]: label[1].format(place[0]), "geometry": part})
    return table(rows)


def urban_boundary(zone_deg: BaseGeometry, red: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """Draw the urban development boundary around the built-up cores, clear of the red line."""
    shapes = (blob(stream(53, i), in_metres(x, y), 930 * r, 1.1) for i, (x, y, r) in enumerate(CORES_KM))
    parts = disjoint(shapes, zone_deg, shapely.union_all(red.geometry.values))
    return table(
        [
            {"id": f"SYN-U{i:02d}", "name": f"演示城镇开发边界{i:02d}", "geometry": part}
            for i, part in enumerate(parts, 1)
        ]
    )


def stations(towns: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """Give two stations at published, unverified positions; of the third only the town is known."""
    rows: list[Row] = []
    for key, name, code, accuracy_m, place in STATIONS:
        row = {"id": key, "name": name, "code": code, "accuracy_m": accuracy_m, "position": "known"}
        rows.append({**row, "source": STATION_SOURCE, "status": "open", "geometry": Point(place)})
    town = towns.geometry[towns["name"] == "金凤镇"].iloc[0]
    row = {"id": "SYN-Q3", "name": "金凤", "code": None, "accuracy_m": 10.0, "position": "unknown"}
    return table([*rows, {**row, "source": UNKNOWN_SOURCE, "geometry": town}])


# --------------------------------------------------------------------------- where things may stand


class Ground:
    """Points all over the zone (m) and how far each lies from every layer (m, negative inside)."""

    def __init__(self, zone: BaseGeometry, spacing: float) -> None:
        west, south, east, north = zone.bounds
        gx, gy = np.meshgrid(np.arange(west, east, spacing), np.arange(south, north, spacing))
        inside = shapely.contains_xy(zone, gx.ravel(), gy.ravel())
        self.xy: Array = np.column_stack((gx.ravel()[inside], gy.ravel()[inside]))
        self.points = shapely.points(self.xy)
        self.far: dict[str, Array] = {"edge": -self.distance(zone)}
        self.free: Bools = np.ones(len(self.xy), dtype=bool)

    def distance(self, area: BaseGeometry) -> Array:
        """Measure the distance (m) to the boundary of an area (m), negative inside."""
        shapely.prepare(area)
        gap: Array = shapely.distance(self.points, area.boundary)
        return np.where(shapely.contains(area, self.points), -gap, gap)

    def add(self, name: str, geometries: Iterable[BaseGeometry]) -> None:
        """Learn a layer given in EPSG:4490."""
        self.far[name] = self.distance(metres(shapely.union_all(list(geometries))))

    def add_forest(self, layer: gpd.GeoDataFrame, fields: Woods) -> None:
        """Learn the forest: the nearest of its many vertices is near enough, the field tells the side."""
        corners = shapely.points(shapely.get_coordinates(metres(shapely.geometrycollections(list(layer.geometry)))))
        _, gap = shapely.STRtree(corners).query_nearest(self.points, return_distance=True, all_matches=False)
        self.far["forest"] = np.where(fields.wooded(self.xy), -gap, gap)

    def clear_of(self, margin: float, *names: str) -> Bools:
        """Find the points farther than ``margin`` (m) outside all these layers."""
        clear: Bools = np.all([self.far[name] > margin for name in names], axis=0)
        return clear

    def quiet(self, *but: str, margin: float = 120.0) -> Bools:
        """Find the points that are clear of every layer with a siting rule, except those named."""
        return self.clear_of(margin, "edge", *(name for name in CONFLICTS if name not in but))

    def pick(self, mask: Bools, near: Sequence[float], apart: float = 400.0) -> Array:
        """Take the allowed point (m) nearest to a wanted place (km), and its surroundings."""
        gap = np.hypot(*(self.xy - 1000.0 * np.asarray(near)).T)
        allowed = mask & self.free
        if not allowed.any():
            raise ValueError(f"no place left near {near}")
        place: Array = self.xy[int(np.argmin(np.where(allowed, gap, np.inf)))]
        self.free &= np.hypot(*(self.xy - place).T) >= apart
        return place

    def take(self, layer: gpd.GeoDataFrame, near: Sequence[float], **values: str | None) -> BaseGeometry:
        """Take the feature (EPSG:4490) with these values that is nearest to a place (km) and still free."""
        rows = layer
        for column, value in values.items():
            rows = rows[rows[column].isna() if value is None else rows[column] == value]
        centres = np.array([metres(g).centroid.coords[0] for g in rows.geometry])
        for k in np.argsort(np.hypot(*(centres - 1000.0 * np.asarray(near)).T)):
            gap = np.hypot(*(self.xy - centres[k]).T)
            if self.free[int(np.argmin(gap))]:
                self.free &= gap >= 400.0
                return rows.geometry.iloc[int(k)]
        raise ValueError(f"no free feature near {near}")


def box(centre: Sequence[float] | Array, width: float, height: float, turn: float = 0.0) -> Polygon:
    """Draw a turned rectangle (m)."""
    corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * (width / 2, height / 2)
    cos, sin = math.cos(turn), math.sin(turn)
    return Polygon(corners @ np.array([[cos, sin], [-sin, cos]]) + np.asarray(centre))


def parcel(rng: np.random.Generator, centre: Array, least: float, most: float) -> BaseGeometry:
    """Draw a parcel with straight edges in EPSG:4490, its sides between ``least`` and ``most`` metres."""
    width, height = rng.uniform(least, most, 2)
    shape = box(centre, width, height, rng.uniform(0, math.pi))
    corners = shapely.get_coordinates(shape)[:-1] + rng.normal(0, 0.06 * least, (4, 2))
    return rounded(degrees(Polygon(corners)))


def built_up(ground: Ground) -> Bools:
    """Find where plots and works may stand."""
    outside = ground.clear_of(150.0, "edge", "red_line", "rivers", "priority", "forest")
    return outside & (ground.far["urban_boundary"] < 0)


def plots(ground: Ground) -> gpd.GeoDataFrame:
    """Draw former industrial plots on built-up ground; every twelfth has no stated status."""
    rng, rows, allowed = stream(60), [], built_up(ground)
    for i in range(46):
        near = NORTH_EAST if i < 6 else (float(rng.uniform(-5, 6)), float(rng.uniform(-13.5, 13)))
        shape = parcel(rng, ground.pick(allowed, near, 420.0), 70.0, 190.0)
        state = PLOT_STATES[i % len(PLOT_STATES)]
        surveyed = state not in (None, "疑似污染地块")
        rows.append({
            "id": f"SYN-P{i + 1:02d}", "name": f"演示地块{i + 1:02d}", "status": state,
            "planned_use": PLOT_USES[i % len(PLOT_USES)], "planned_scheme": "用地用海2023",
            "industry": PLOT_TRADES[i % len(PLOT_TRADES)], "survey_state": "已评审" if surveyed else "未开展",
            "survey_date": f"20{18 + i % 7}-{1 + i % 12:02d}-15" if surveyed else None, "geometry": shape,
        })  # fmt: skip
    return gpd.GeoDataFrame(rows, geometry="geometry", crs=CRS)


def key_enterprises(ground: Ground) -> gpd.GeoDataFrame:
    """Draw the land of enterprises under special supervision for soil pollution."""
    rng, allowed = stream(61), built_up(ground) & ground.clear_of(250.0, "plots")
    shapes = [parcel(rng, ground.pick(allowed, near, 420.0), 110.0, 220.0) for near in WORKS_KM]
    return table(
        [
            {"id": f"SYN-E{i:02d}", "name": f"演示重点监管单位{i:02d}", "geometry": shape}
            for i, shape in enumerate(shapes, 1)
        ]
    )


def farmland(ground: Ground) -> gpd.GeoDataFrame:
    """Draw permanent basic farmland: parcels outside the urban development boundary."""
    rng, rows = stream(62), []
    away = (
        "edge",
        "red_line",
        "rivers",
        "forest",
        "urban_boundary",
        "water_source",
        "reserve",
        "scenic",
        "plots",
    )
    allowed = ground.clear_of(130.0, *away, "key_enterprises")
    for i in range(1, 141):
        place = ground.pick(allowed, (float(rng.uniform(-5.5, 6.5)), float(rng.uniform(-14, 13))), 260.0)
        shape = parcel(rng, place, 90.0, 180.0)
        rows.append({"id": f"SYN-L{i:03d}", "name": f"演示永久基本农田{i:03d}", "geometry": shape})
    return table(rows)


# ------------------------------------------------------------------------------------- sample sites

Shapes = dict[int, BaseGeometry]


def against(parcel_deg: BaseGeometry, overlap_m: float, depth: float) -> BaseGeometry:
    """Draw a site (EPSG:4490) along a parcel's longest edge, ``overlap_m`` into it (0: sharing it)."""
    ring = shapely.get_coordinates(shapely.orient_polygons(metres(parcel_deg)))
    k = int(np.argmax(np.hypot(*np.diff(ring, axis=0).T)))
    along = (ring[k + 1] - ring[k]) / np.hypot(*(ring[k + 1] - ring[k]))
    outward = np.array([along[1], -along[0]])
    shifts = np.array([-overlap_m, -overlap_m, depth, depth])[:, None]
    shape = shapely.get_coordinates(degrees(Polygon(ring[[k, k + 1, k + 1, k]] + shifts * outward)))
    corners = shapely.get_coordinates(parcel_deg)
    for corner in corners if overlap_m == 0 else corners[:0]:  # to metres and back is not exact to the last digit
        shape[np.abs(shape - corner).max(axis=1) < 1e-7] = corner
    return on_grid(Polygon(shape))


def tip(station: Point, azimuth: float, distance_m: float) -> BaseGeometry:
    """Draw a site (EPSG:4490) whose nearest corner lies ``distance_m`` (geodesic) from a station."""
    steps = [(0.0, 0.0), (0.9, 60.0), (0.9, 150.0), (-0.9, 150.0), (-0.9, 60.0)]
    corners = [GEOD.fwd(station.x, station.y, azimuth + turn, distance_m + beyond)[:2] for turn, beyond in steps]
    return on_grid(Polygon(corners))


def sites_on_features(ground: Ground, layers: Layers) -> Shapes:
    """Draw the sites (EPSG:4490) that are made from a feature: touching it, a sliver of it, or all of it."""
    lots = layers["plots"]
    return {
        2: against(ground.take(lots, NORTH_EAST, status="名录-修复"), 0.0, 70.0),
        3: against(ground.take(layers["farmland"], (5.0, 9.0)), 0.004, 80.0),
        9: ground.take(lots, (2.0, -6.0), status="调查中"),
        10: ground.take(lots, (2.0, 0.0), status="名录-修复"),
        11: ground.take(lots, (0.0, 4.0), status="名录-风险管控"),
        13: ground.take(lots, NORTH_EAST, status=None),
    }


def sites_on_lines(ground: Ground, layers: Layers) -> Shapes:
    """Draw a pipeline across red line and farmland, and a road across the red line (EPSG:4490)."""
    field = metres(ground.take(layers["farmland"], (-3.7, -1.9))).centroid
    west, east = crest_x("西部", -2_500.0) - 160, crest_x("东部", 200.0) + 160
    pipe = [(west, -2_500.0), (-4_600.0, -2_250.0), (field.x, field.y), (-2_900.0, -1_600.0)]
    road = [(east, 200.0), (5_100.0, 350.0), (4_300.0, 700.0)]
    return {
        6: rounded(degrees(LineString(fractal(stream(70), pipe, 4, 0.03)))),
        7: rounded(degrees(LineString(fractal(stream(71), road, 4, 0.04)))),
    }


def sites_near_stations(ground: Ground, layers: Layers) -> Shapes:
    """Draw sites (EPSG:4490) well inside 3 km of 虎溪, just inside, just outside, and one near 白市驿."""
    place = dict(zip(layers["stations"]["name"], layers["stations"].geometry, strict=True))
    home = np.array(metres(place["虎溪"]).coords[0])
    close = np.hypot(*(ground.xy - home).T) < 1_800
    return {
        19: rounded(degrees(box(ground.pick(ground.quiet("no_burn") & close, (-1.6, 11.4)), 110, 60, 0.2))),
        20: tip(place["虎溪"], 78.0, 2_999.9),
        21: tip(place["虎溪"], 66.0, 3_000.1),
        22: rounded(degrees(box(ground.pick(ground.quiet("no_burn"), (4.1, -3.0)), 120, 80, 0.7))),
    }


def sites_in_layers(ground: Ground) -> Shapes:
    """Draw the sites (EPSG:4490) that lie well inside one layer."""
    far = ground.far
    deep = (far["red_line"] < -90) & ground.clear_of(150.0, "edge", "reserve", "scenic")
    spots = {
        4: (deep, (6.2, 5.5), 110, 70),
        5: (deep & (far["forest"] < -30), (-5.7, 3.0), 40, 30),
        8: (ground.quiet("forest", margin=90.0) & (far["forest"] < -45), (0.0, -10.5), 45, 35),
        18: (far["water_first"] < -60, (-4.0, -7.0), 50, 30),
        26: (ground.quiet("no_burn") & (far["no_burn"] < -80), (3.6, 6.6), 60, 40),
        27: (ground.quiet("noise", "no_burn") & (far["noise"] < -70), (2.2, 7.6), 130, 90),
        30: (
            ground.clear_of(50.0, "red_line", "forest") & (far["reserve_outer"] < -30),
            (-3.6, 11.6),
            36,
            24,
        ),
    }
    return {n: rounded(degrees(box(ground.pick(ok, near), w, h, 0.2))) for n, (ok, near, w, h) in spots.items()}


def sites_on_quiet_ground(ground: Ground) -> Shapes:
    """Draw the sites (EPSG:4490) that meet only rules of the zone or of distance, one across the outline."""
    quiet, bank = ground.quiet(), ground.far["rivers"]
    rim = (np.abs(ground.far["edge"]) < 25) & ground.clear_of(150.0, *(n for n in CONFLICTS if n != "no_burn"))
    spots = {
        1: (quiet, (3.0, 9.4), 120, 90),
        12: (quiet, (-2.2, -0.4), 130, 80),
        14: (quiet, (2.2, -8.4), 160, 110),
        15: (quiet, (3.2, -5.6), 180, 120),
        16: (quiet, (4.4, 11.2), 90, 60),
        17: (quiet, (2.8, 12.6), 120, 100),
        23: (rim, (3.0, 14.0), 200, 150),
        25: (quiet & (bank > 150) & (bank < 700), (-0.8, 4.6), 150, 100),
        28: (quiet, (2.4, 9.9), 150, 40),
        29: (quiet, (4.6, 8.6), 260, 180),
    }
    shapes = {n: rounded(degrees(box(ground.pick(ok, near), w, h, 0.3))) for n, (ok, near, w, h) in spots.items()}
    mast = ground.quiet("priority", margin=80.0) & (ground.far["priority"] < -60)
    return {**shapes, 24: rounded(degrees(Point(ground.pick(mast, (5.6, 1.0)))))}


def sample_sites(ground: Ground, layers: Layers) -> gpd.GeoDataFrame:
    """Give all sample sites in the order of their ids, each named after the town that it lies in."""
    shapes = sites_on_features(ground, layers) | sites_on_lines(ground, layers)
    shapes |= sites_near_stations(ground, layers) | sites_in_layers(ground) | sites_on_quiet_ground(ground)
    towns = layers["towns"]
    rows = []
    for line in SITES.strip().splitlines():
        number, name, industry, land_use, *stated = line.split()
        row = {**SITE_DEFAULTS, "industry_code": industry, "land_use": land_use}
        for word in stated:
            key, _, value = word.partition("=")
            row |= PRODUCER if word == "PRODUCER" else {key: value.replace("_", " ") if "/" in value else value}
        shape = shapes[int(number)]
        home = towns["name"][towns.intersects(shape.representative_point())].iloc[0]
        title = home.removesuffix("街道").removesuffix("镇") + name
        rows.append({"site_id": f"SYN-S{int(number):02d}", "name": title, **row, "geometry": shape})
    return gpd.GeoDataFrame(rows, geometry="geometry", crs=CRS)


# ------------------------------------------------------------------------------------------- output


def build() -> Layers:
    """Make every layer of the pack, in the order in which one needs another."""
    zone = outline()
    towns, units, edge = partitions(zone, towns_in_metres(zone))
    wide = degrees(metres(edge).buffer(COVERAGE_M, quad_segs=16).simplify(20.0))
    red, fields = red_line(edge), woods(zone)
    layers: Layers = {
        "boundary": table([{"id": "SYN-Z01", "name": "重庆高新区直管园（演示轮廓）", "geometry": edge}]),
        "coverage_wide": table(
            [
                {
                    "id": "SYN-C01",
                    "name": "演示资料覆盖范围",
                    "geometry": rounded(shapely.segmentize(wide, 0.0008)),
                }
            ]
        ),
        "towns": towns,
        "units": units,
        "red_line": red,
        "forest": forest(fields, edge, red),
        "rivers": rivers(),
        "stations": stations(towns),
        "urban_boundary": urban_boundary(edge, red),
        "water_source": water_source(edge),
        "reserve": reserve(edge),
        "scenic": scenic(edge),
        "no_burn": areas(54, "B", ("name", "演示禁燃区·{}"), NO_BURN, edge),
        "noise": areas(55, "S", ("name", "演示噪声敏感区·{}"), NOISE, edge),
        "air_sensitive": areas(56, "A", ("type", "大气环境{}重点管控区"), AIR, edge),
    }
    ground = survey(zone, layers, fields)
    for name, make in (("plots", plots), ("key_enterprises", key_enterprises), ("farmland", farmland)):
        layers[name] = make(ground)
        ground.add(name, layers[name].geometry)
    ground.free[:] = True
    layers["sites"] = sample_sites(ground, layers)
    return layers


def survey(zone: BaseGeometry, layers: Layers, fields: Woods) -> Ground:
    """Learn how far every point of the zone lies from the layers drawn so far."""
    ground = Ground(zone, 60.0)
    ground.add_forest(layers["forest"], fields)
    ground.add("priority", layers["units"].geometry[layers["units"]["class"] == "优先"])
    ground.add("water_first", layers["water_source"].geometry[:1])
    ground.add("reserve_outer", layers["reserve"].geometry[:1])
    for name in (
        "red_line",
        "rivers",
        "urban_boundary",
        "water_source",
        "reserve",
        "scenic",
        "no_burn",
        "noise",
    ):
        ground.add(name, layers[name].geometry)
    return ground


def write(layers: Layers, folder: Path) -> None:
    """Write one FlatGeobuf file for each layer."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, layer in layers.items():
        if not layer.geometry.is_valid.all():
            raise ValueError(f"{name}: invalid geometry")
        kinds = set(layer.geom_type)
        kind = kinds.pop() if len(kinds) == 1 else "Unknown"
        layer.to_file(folder / f"{name}.fgb", driver="FlatGeobuf", engine="pyogrio", layer=name, geometry_type=kind)


def forest_cells(layers: Layers) -> tuple[npt.NDArray[np.uint8], Affine]:
    """
    Draw the forest on a grid of 10 m in Gauss-Krueger metres (EPSG:4544): the class of each cell's middle.

    Returns
    -------
    cells : ndarray
        `OTHER`, `FOREST` (what counts as forest), `WOODED` (woodland that does not), `NO_DATA` where a cell does not
        touch the zone.
    transform : Affine
        Of the grid, its corners on whole cells.
    """
    forest, edge = layers["forest"].to_crs(RASTER_CRS), layers["boundary"].to_crs(RASTER_CRS).geometry.iloc[0]
    west, south, east, north = (float(v) for v in edge.bounds)
    left, top = math.floor(west / CELL_M) * CELL_M, math.ceil(north / CELL_M) * CELL_M
    columns, rows = math.ceil((east - left) / CELL_M), math.ceil((top - south) / CELL_M)
    grid = Affine(CELL_M, 0.0, left, 0.0, -CELL_M, top)
    counted = forest["code"].isin(["0301", "0302"]) | (forest["special_shrub"] == "true")
    classes = zip(forest.geometry, np.where(counted, FOREST, WOODED), strict=True)
    drawn = rasterize(classes, out_shape=(rows, columns), fill=OTHER, transform=grid, dtype="uint8")
    zone = rasterize([(edge, 1)], out_shape=(rows, columns), transform=grid, dtype="uint8", all_touched=True)
    cells: npt.NDArray[np.uint8] = np.where(zone == 1, drawn, NO_DATA).astype(np.uint8)
    return cells, grid


def write_raster(layers: Layers, folder: Path) -> None:
    """Write the forest raster as a cloud-optimised GeoTIFF."""
    cells, grid = forest_cells(layers)
    shape = {"height": cells.shape[0], "width": cells.shape[1], "count": 1, "dtype": "uint8", "nodata": NO_DATA}
    with MemoryFile() as memory:
        with memory.open(driver="GTiff", crs=RASTER_CRS, transform=grid, **shape) as plain:
            plain.write(cells, 1)
        with memory.open() as plain:
            copy(
                plain, folder / "forest_raster.tif", driver="COG", compress="deflate", level=9, blocksize=512,
                overview_resampling="mode", num_threads=1,
            )  # fmt: skip


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description="Make the data files of the demonstration zone.")
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parents[1] / "layers" / "gaoxin")
    out, layers = parser.parse_args().out, build()
    write(layers, out)
    write_raster(layers, out)


if __name__ == "__main__":
    main()
