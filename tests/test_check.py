"""Check my place: what a published page answers, offline, against the engine and against libraries."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from browsing import Visit

from geojw.decide.screening import Screening
from geojw.law.catalogue import UNLIMITED
from geojw.maps.editions import Asked, Edition
from geojw.maps.publish import publish
from geojw.measure.geodesy import ELLIPSOID
from geojw.zone import Zone, open_zone, screen

DAY = date(2026, 11, 22)
PLACES = 1_000
ANSWER = """places => places.map(ring => {
  const {layers, rules} = geojw.check(ring);
  return {
    layers: Object.fromEntries(layers.map(one => [one.layer.id, {
      state: one.state, met: one.met.map(f => f.feature.id), open: one.open.map(f => f.feature.id),
      nearest: one.nearest && [one.nearest.feature.id, one.nearest.metres], precision: one.precision}])),
    rules: Object.fromEntries(rules.map(({rule, state}) => [rule.id, state])),
  };
})"""


@dataclass(eq=False)
class Case:
    """A page's answers beside the engine's."""

    zone: Zone
    edition: Edition
    path: Path
    places: np.ndarray[Any, Any]
    answers: list[dict[str, Any]]
    engine: Screening


def random_places(zone: Zone) -> np.ndarray[Any, Any]:
    """Points and polygons all over the zone and beyond it, half of them near the outlines of its layers."""
    rng = np.random.default_rng(20261127)
    outline = zone.layer(zone.pack.zone.boundary).index.everything.union
    x0, y0, x1, y1 = shapely.bounds(outline)
    xy = rng.uniform([x0 - 3e3, y0 - 3e3], [x1 + 3e3, y1 + 3e3], (PLACES, 2))
    names = ("forest", "reserve", "scenic", "noise", "no_burn", "boundary", "towns", "rivers")
    edges = np.concatenate([shapely.boundary(zone.layer(name).index.geometries) for name in names])
    edges = shapely.get_parts(edges)
    near = edges[rng.integers(0, len(edges), PLACES // 2)]
    spots = shapely.line_interpolate_point(near, rng.uniform(0, 1, len(near)), normalized=True)
    xy[: len(near)] = shapely.get_coordinates(spots) + rng.normal(0.0, 40.0, (len(near), 2))
    shapes = shapely.points(xy)
    corners = rng.uniform(-1.0, 1.0, (PLACES, 6, 2)) * rng.choice([15.0, 60.0, 300.0], (PLACES, 1, 1))
    hulls = np.array([shapely.convex_hull(shapely.multipoints(at + c)) for at, c in zip(xy, corners, strict=True)])
    area = np.arange(PLACES) % 3 == 0
    return np.where(area, zone.analysis.to_geographic(hulls), zone.analysis.to_geographic(shapes))


def ring_of(place: shapely.Geometry) -> list[list[float]]:
    xy = shapely.get_coordinates(place)
    return (xy[:-1] if len(xy) > 1 else xy).tolist()


@pytest.fixture(scope="module", params=["public", "department"])
def case(request: pytest.FixtureRequest, browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Case:
    zone = unconditional(open_zone("gaoxin"))
    asked = Asked(DAY, request.param, "zh", draft=True)
    path = publish(zone, asked, tmp_path_factory.mktemp("check"))
    places = random_places(zone)[: PLACES if request.param == "public" else PLACES // 4]
    visit = Visit(browser, path)
    answers = visit.page.evaluate(ANSWER, [ring_of(place) for place in places])
    visit.close()
    frame = gpd.GeoDataFrame(
        {"site_id": [f"P{i:04}" for i in range(len(places))]}, geometry=list(places), crs="EPSG:4490"
    )
    engine = screen(frame, zone, on=DAY)
    assert len(engine.verdicts) == len(places)
    return Case(zone, Edition(zone, asked), path, places, answers, engine)


MEANT = {"hit": "met", "clear": "not", "no_coverage": "nodata", "source_failed": "nodata", "not_evaluable": "open"}
"""Engine's outcome -> what the page should say; "open" where a feature's own place or attribute leaves it open."""


def unconditional(zone: Zone) -> Zone:
    """Let every rule govern every site: what is left is where."""
    rules = tuple(replace(rule, applies={}, unless={}, proofs=()) for rule in zone.pack.rules)
    return Zone(replace(zone.pack, rules=rules))


def test_outside_the_published_precision_every_rule_answers_as_the_engine(case: Case) -> None:
    rules = {rule.id: rule for rule in case.zone.pack.in_force(DAY)}
    seen: dict[tuple[str, str], int] = {}
    wrong, undecided = [], []
    for row in case.engine.findings.itertuples():
        place = int(row.site_id[1:])
        rule = rules[row.rule_id]
        said = case.answers[place]["rules"][row.rule_id]
        if not case.edition.may_see(rule.layer) or row.outcome == "source_failed":
            assert said == "nodata"
            continue
        if said == "depends":
            continue
        if not case.edition._may_filter(rule):
            assert said in ("not", "nodata", "unsure")
            assert said == "unsure" or row.outcome in ("clear", "no_coverage")
            continue
        meant = MEANT[row.outcome]
        seen[said, meant] = seen.get((said, meant), 0) + 1
        if said == "unsure":
            undecided.append((place, row.rule_id, meant))
        elif said != meant:
            wrong.append((place, row.rule_id, said, meant, row.value))
    assert wrong == []
    for state in ("met", "not", "nodata"):
        assert seen.get((state, state), 0) > len(case.places) // 10, seen
    assert 0 < len(undecided) < 0.2 * sum(seen.values())
    unjust = [each for each in undecided if each[2] != "open" and not within_precision(case, *each[:2])]
    assert unjust == []


def within_precision(case: Case, place: int, rule_id: str) -> bool:
    """Whether a source outline, a limit or the end of the coverage is nearer than twice the precision (and a bit)."""
    rule = next(rule for rule in case.zone.pack.in_force(DAY) if rule.id == rule_id)
    data = case.zone.layer(rule.layer)
    shape = case.zone.analysis.project(case.places[place : place + 1], case.engine.sites.geometry.crs.geodetic_crs)[0]
    reach = 2.0 * case.answers[place]["layers"][rule.layer]["precision"] + 1.0
    if rule.test.is_distance:
        away = shapely.distance(shape, data.index.geometries)
        near = bool((np.abs(away - rule.test.value) <= reach).any())
    else:
        near = bool((shapely.distance(shape, shapely.boundary(data.index.geometries)) <= reach).any())
    coverage = case.zone.pack.layers[rule.layer].coverage
    if coverage == UNLIMITED:
        return near
    cover = case.zone.layer(coverage).index.everything.union
    left = abs(shapely.distance(shape, shapely.boundary(cover)) - (rule.test.value if rule.test.is_distance else 0.0))
    return near or bool(left <= reach)


def test_the_features_that_a_place_meets_are_those_that_overlap_it(case: Case) -> None:
    overlaps = case.engine.overlaps
    overlaps = overlaps[overlaps["overlap_share"].notna() & (overlaps["overlap_share"] > 0.0)]
    truly = overlaps.groupby(["site_id", "layer"])["feature_id"].agg(set).to_dict()
    used = {rule.layer for rule in case.zone.pack.in_force(DAY)} - {case.zone.pack.zone.boundary}
    hidden = [name for name in used if case.zone.pack.layers[name].id not in _columns(case, name)]
    compared = 0
    for place, answer in enumerate(case.answers):
        for layer, said in answer["layers"].items():
            if layer not in used or layer in hidden or case.zone.layer(layer).index.kind != "polygon":
                continue
            real = truly.get((f"P{place:04}", layer), set())
            assert set(said["met"]) <= real, (place, layer)
            assert real <= {*said["met"], *said["open"]}, (place, layer)
            compared += len(real)
    assert compared > len(case.places) // 4


def _columns(case: Case, name: str) -> tuple[str, ...]:
    return case.zone.pack.layers[name].audience_columns.get(case.edition.asked.audience, ())


def test_distances_differ_by_no_more_than_the_published_precision(case: Case) -> None:
    far = case.engine.findings[case.engine.findings["rule_id"] == "YRB-1"]
    compared = 0
    for row in far.itertuples():
        said = case.answers[int(row.site_id[1:])]["layers"]["rivers"]
        if pd.notna(row.value) and said["nearest"] is not None and said["state"] != "meets":
            assert abs(said["nearest"][1] - row.value) <= said["precision"], row.site_id
            compared += 1
    assert compared > len(case.places) // 2


def test_geodesics_and_the_plane_are_those_of_proj(case: Case, browser: Any) -> None:
    visit = Visit(browser, case.path)
    rng = np.random.default_rng(5)
    pairs = np.column_stack([rng.uniform(105.5, 107, 2_000), rng.uniform(29, 30, 2_000)] * 2)
    pairs[:, 2:] += rng.normal(0, 0.2, (2_000, 2)) * rng.choice([1e-4, 1.0], (2_000, 1))
    js = "pairs => pairs.map(([a, b, c, d]) => [geojw.metres([a, b], [c, d]), ...geojw.plane([a, b])])"
    said = np.array(visit.page.evaluate(js, pairs.tolist()))
    _, _, metres = ELLIPSOID.inv(*pairs.T)
    assert np.abs(said[:, 0] - metres).max() < 1e-6
    planar = case.zone.analysis.project(shapely.points(pairs[:, :2]), case.zone.analysis.crs.geodetic_crs)
    assert np.abs(said[:, 1:] - shapely.get_coordinates(planar)).max() < 1e-6
    visit.close()
