"""The warning of a map service's offset: given where sites follow a layer only once it is undone, and nowhere else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import pytest
import shapely
from hypothesis import example, given, settings
from hypothesis import strategies as st

import geojw
from geojw.intake import suspicion
from geojw.intake.suspicion import Reference, suspect
from geojw.intake.transformations import shifted
from geojw.measure.geodesy import AnalysisCRS, reproject

ANALYSIS = AnalysisCRS(106.32, 29.50)
"""That of the embedded zone."""

TRAFFORD = Path(__file__).resolve().parents[2] / "shared" / "data" / "trafford" / "trafford.gpkg"

Shapes = np.ndarray[Any, Any]


def as_on(offset: str, shapes: Shapes) -> Shapes:
    """Draw shapes of the analysis CRS where a map service shows them."""

    def move(xy: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        return reproject(shifted(ANALYSIS.lonlat(xy), offset), "EPSG:4490", ANALYSIS.crs.to_wkt())

    return np.asarray(shapely.transform(shapes, move), dtype=object)


def plots(count: int, seed: int, *, reach_m: float = 6000.0) -> Shapes:
    """Crooked plots of 60 to 250 m scattered over a zone."""
    rng = np.random.default_rng(seed)
    out = []
    for _ in range(count):
        corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * rng.uniform(30, 125) + rng.uniform(-15, 15, (4, 2))
        angle = rng.uniform(0, np.pi)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        out.append(shapely.Polygon(corners @ turn + rng.uniform(-reach_m, reach_m, 2)))
    return np.array(out, dtype=object)


@pytest.fixture(scope="module")
def real() -> dict[str, Shapes]:
    """Real outlines, brought here from Trafford: no plot of this zone is public."""
    if not TRAFFORD.is_file():
        pytest.skip("the open data are not beside the repository")
    layers = {}
    for name in ("greenspace", "allotments", "conservation_areas", "wards"):
        frame = pyogrio.read_dataframe(TRAFFORD, layer=name).to_crs(27700)
        geometry = np.asarray(frame.geometry.values, dtype=object)
        x, y = 378_000.0, 392_000.0
        layers[name] = np.asarray(shapely.transform(geometry, lambda xy, x=x, y=y: xy - [x, y]), dtype=object)
    return layers


def warned(sites: Shapes, **layers: Shapes) -> list[tuple[object, object]]:
    references = {name: Reference(shapes, 2.0) for name, shapes in layers.items()}
    found = suspect(sites, references, ANALYSIS, "x.shp")
    assert all("--datum" in fault.text(lang) for fault in found for lang in ("zh", "en"))
    return [(fault.fields["layer"], fault.fields["name"]) for fault in found]


@pytest.mark.parametrize(("offset", "name"), [("gcj02", "GCJ-02"), ("bd09", "BD-09")])
@pytest.mark.parametrize("layer", ["greenspace", "allotments", "conservation_areas"])
def test_real_outlines_drawn_on_a_map_service_are_suspected(
    real: dict[str, Shapes], layer: str, offset: str, name: str
) -> None:
    sites = as_on(offset, real[layer][::7])
    assert warned(sites, **real) == [(layer, name)]
    assert warned(sites[:1], **{layer: real[layer]}) in ([(layer, name)], [])  # one outline may fit a decoy as well


def test_real_outlines_in_their_place_are_not(real: dict[str, Shapes]) -> None:
    for layer, shapes in real.items():
        assert warned(shapes[::7], **real) == [], layer


def test_real_outlines_elsewhere_are_not(real: dict[str, Shapes]) -> None:
    """Moved by as much as a map service would, but another way; and the opposite way."""
    for offset in ("gcj02", "bd09"):
        for layer in ("greenspace", "allotments"):
            shown = as_on(offset, real[layer])
            delta = (shapely.get_coordinates(shown) - shapely.get_coordinates(real[layer])).mean(axis=0)
            for turned in (-delta, delta[::-1], delta * [1, -1]):
                sites = np.asarray(shapely.transform(real[layer], lambda xy, d=turned: xy + d), dtype=object)
                assert warned(sites[::7], **real) == [], (offset, layer)


def test_the_layers_of_the_embedded_zone_do_not_accuse_its_own_sites() -> None:
    zone = geojw.open_zone("gaoxin")
    names = ("red_line", "forest", "plots", "towns", "units")
    references = {name: Reference(zone.layer(name).index.geometries, 1.0) for name in names}
    frame = geojw.read_sites(zone.pack.folder / "sites.fgb").frame.to_crs(zone.analysis.crs)
    assert suspect(np.asarray(frame.geometry.values, dtype=object), references, zone.analysis, "sites.fgb") == ()
    for name in ("red_line", "plots"):
        there = as_on("gcj02", references[name].geometries[:12])
        (fault,) = suspect(there, references, zone.analysis, "x")
        assert (fault.fields["layer"], fault.fields["name"]) == (name, "GCJ-02")


@given(st.integers(0, 10**6), st.integers(1, 40), st.integers(1, 300))
@settings(max_examples=40, deadline=None)
def test_innocent_sites_raise_no_alarm(seed: int, sites: int, features: int) -> None:
    """Sites that have nothing to do with the layer, however many of either."""
    assert warned(plots(sites, seed), layer=plots(features, seed + 1)) == []


@given(st.integers(0, 10**6), st.integers(1, 20), st.floats(0.0, 1.0))
@settings(max_examples=40, deadline=None)
def test_sites_that_follow_the_layer_where_they_are_raise_no_alarm(seed: int, count: int, share: float) -> None:
    layer = plots(120, seed)
    own = layer[: max(int(count * share), 1)]
    assert warned(np.concatenate([own, plots(count, seed + 1)]), layer=layer) == []


@given(st.integers(0, 10**6), st.integers(3, 30), st.sampled_from(["gcj02", "bd09"]), st.floats(0.0, 2.0))
@settings(max_examples=12, deadline=None)
def test_sites_drawn_on_a_map_service_are_suspected(seed: int, count: int, offset: str, blur_m: float) -> None:
    layer = plots(150, seed)
    rng = np.random.default_rng(seed)
    errors = rng.normal(0.0, blur_m, (count, 2))  # of him who drew it
    shown = as_on(offset, layer[:count])
    sites = [shapely.transform(shape, lambda xy, e=e: xy + e) for shape, e in zip(shown, errors, strict=True)]
    name = {"gcj02": "GCJ-02", "bd09": "BD-09"}[offset]
    assert warned(np.array(sites, dtype=object), layer=layer) == [("layer", name)]


def grid(step_m: float) -> Shapes:
    """Streets in a grid."""
    at = np.arange(-8000.0, 8000.0, step_m)
    lines = [*([(x, -8000), (x, 8000)] for x in at), *([(-8000, y), (8000, y)] for y in at)]
    return np.array([shapely.LineString(line) for line in lines], dtype=object)


@example(331.75, 1, 1)  # one block that fits by chance: a hundred decoys did not show it, thousands do
@given(st.floats(60.0, 700.0), st.integers(0, 10**6), st.integers(1, 20))
@settings(max_examples=25, deadline=None)
def test_a_layer_that_repeats_itself_raises_no_alarm(step_m: float, seed: int, count: int) -> None:
    """Blocks along a grid of streets, set anywhere: moved sites may fit again by chance, as after many a decoy."""
    rng = np.random.default_rng(seed)
    corners = rng.uniform(-6000, 6000, (count, 2))
    sites = np.array([shapely.box(x, y, x + step_m, y + step_m) for x, y in corners], dtype=object)
    assert warned(sites, layer=grid(step_m)) == []
    aligned = np.array([shapely.box(x, y, x + step_m, y + step_m) for x, y in np.round(corners / step_m) * step_m])
    assert warned(aligned, layer=grid(step_m)) == []


def test_sites_that_fit_as_given_are_not_suspected_because_they_fit_elsewhere_too() -> None:
    """A layer that happens to hold a second copy of the plots just where undoing the offset would lead."""
    own = plots(20, 8)
    shown = as_on("gcj02", own)
    assert warned(shown, layer=own) == [("layer", "GCJ-02")]
    assert warned(shown, layer=np.concatenate([own, shown])) == []


def test_it_stays_silent_where_it_cannot_tell() -> None:
    layer = plots(100, 1)
    points = np.array([shapely.Point(0, 0), shapely.Point(500, 500)], dtype=object)
    assert warned(points, layer=layer) == []
    assert warned(layer[:0], layer=layer) == []
    assert warned(layer[:5], layer=points) == []
    assert warned(layer[:5], layer=np.array([None, shapely.Polygon()], dtype=object)) == []
    shown = as_on("gcj02", layer[:10])
    assert suspect(shown, {"layer": Reference(layer, 60.0)}, ANALYSIS, "x") == ()  # too coarse to tell 480 m
    assert suspect(shown, {"layer": Reference(layer, None)}, ANALYSIS, "x") != ()
    elsewhere = AnalysisCRS(-2.3, 53.4)
    assert suspect(shown, {"layer": Reference(layer, 2.0)}, elsewhere, "x") == ()


def test_order_means_nothing_and_nothing_is_changed() -> None:
    layer = plots(150, 5)
    sites = np.concatenate([as_on("gcj02", layer[:74]), plots(16, 6)])  # more than are looked at, and not all fit
    before = shapely.to_wkb(sites).tolist()
    told = suspect(sites, {"a": Reference(layer, 1.0)}, ANALYSIS, "x")
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(len(sites))
        assert suspect(sites[order], {"a": Reference(layer[::-1], 1.0)}, ANALYSIS, "x") == told
    assert shapely.to_wkb(sites).tolist() == before


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(st.integers(0, 10_000), st.sampled_from([0.5, 8.0, 300.0]))
def test_no_edge_within_reach_is_left_out(seed: int, reach_m: float) -> None:
    """Edges are chosen by cells before they are built: against the distances of all of them by GEOS."""
    rng = np.random.default_rng(seed)
    start = rng.uniform(-3000, 3000, (400, 2))
    lines = shapely.linestrings(np.stack([start, start + rng.normal(0, 200, (400, 2))], axis=1))
    spots = rng.uniform(-2000, 2000, (rng.integers(1, 40), 2))
    edges = suspicion._edges(np.asarray(lines, dtype=object))
    chosen = {tuple(one.ravel()) for one in suspicion._beside(edges, spots, reach_m)}
    near = shapely.dwithin(lines, shapely.multipoints(spots), reach_m)
    assert {tuple(shapely.get_coordinates(line).ravel()) for line in lines[near]} <= chosen
    assert len(chosen) < len(lines) or reach_m > 8.0
