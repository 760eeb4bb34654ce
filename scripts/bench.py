#!/usr/bin/env python3
"""
Benchmark of geojw beside the usual ways to overlay sites and layers. Not a test: it measures, and compares the results.

``scripts/bench.py --quick`` is a small version that ends in under a minute; without options the full one runs. Every way
runs in a process of its own on the same inputs in the analysis CRS, so that memory is its own and a time limit can end it.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import json
import os
import platform
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from statistics import median
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

ROOT = Path(__file__).resolve().parent.parent
DAY = date(2026, 11, 22)
"""The day whose rules count: fixed, so that two runs screen the same."""

SEED = 20261122
CENTRE = (106.35, 29.50)
HALF_X_M, HALF_Y_M = 10_000.0, 9_000.0
CELL_M = 20.0
"""Sampling of the field whose outline the forest is: the distance between two of its vertices, about."""

FOREST_POLYGONS = 1_700
LARGEST = {"forest": 24_000, "forest_big": 100_000}
BLOCK = 10_000
"""Sites are made in blocks with a seed of their own: the first 10,000 are the same whatever the number asked for."""

Array = np.ndarray[Any, np.dtype[Any]]

# ------------------------------------------------------------------------------------------------- made data


def fractal_field(rows: int, columns: int) -> Array:
    """Give a random field whose outline at some height looks grown: power-law spectrum, no long waves."""
    spectrum = np.fft.rfft2(np.random.default_rng(SEED).standard_normal((rows, columns)))
    wave = np.hypot(np.fft.fftfreq(rows)[:, None] * rows, np.fft.rfftfreq(columns)[None, :] * columns)
    spectrum[wave < 8.0] = 0.0
    spectrum *= np.maximum(wave, 1.0) ** -1.4
    height = np.fft.irfft2(spectrum, (rows, columns))
    return np.asarray(height / height.std())


def outlined(mask: Array) -> Array:
    """Give the polygons of a mask on its grid, a vertex at every corner of a cell."""
    from rasterio.features import shapes  # noqa: PLC0415 - only where data are made

    found = shapes(mask.astype(np.uint8), mask=mask, connectivity=4)
    return shapely.segmentize(np.array([shapely.geometry.shape(shape) for shape, _ in found]), 1.0)


def forest(largest: int) -> Array:
    """
    Make forest polygons, in metres of the analysis CRS.

    Parameters
    ----------
    largest
        Vertices of the largest polygon, met exactly: the field is raised around one place until what grows together
        there has nearly so many, and edges are split for the rest.

    Returns
    -------
    ndarray
        `FOREST_POLYGONS` valid polygons, disjoint but for points, some with holes.
    """
    rows, columns = int(2 * HALF_Y_M / CELL_M), int(2 * HALF_X_M / CELL_M)
    height = fractal_field(rows, columns)
    level = np.quantile(height, 0.6)
    y, x = np.mgrid[:rows, :columns]
    hill = np.exp(-((x - 0.6 * columns) ** 2 + (y - 0.45 * rows) ** 2) / (2.0 * (0.3 * columns) ** 2))
    low, high = 0.0, 3.0
    best = outlined(height > level)
    for _ in range(12):
        middle = (low + high) / 2.0
        polygons = outlined(height + middle * hill > level)
        if shapely.get_num_coordinates(polygons).max() <= largest:
            low, best = middle, polygons
        else:
            high = middle
    best = best[np.argsort(-shapely.get_num_coordinates(best), kind="stable")][:FOREST_POLYGONS]
    best[0] = filled_up(best[0], largest)
    return warped(best, rows, columns)


def filled_up(polygon: shapely.Polygon, vertices: int) -> shapely.Polygon:
    """Split the first edges of a polygon at their middles until it has so many vertices."""
    rings = [np.asarray(ring.coords) for ring in (polygon.exterior, *polygon.interiors)]
    missing = vertices - sum(len(ring) for ring in rings)
    for number, ring in enumerate(rings):
        take = min(missing, len(ring) - 1)
        middles = (ring[:take] + ring[1 : take + 1]) / 2.0
        rings[number] = np.insert(ring, np.arange(1, take + 1), middles, axis=0)
        missing -= take
    return shapely.Polygon(rings[0], rings[1:])


def warped(polygons: Array, rows: int, columns: int) -> Array:
    """Move every corner of the grid by less than half a cell, which crosses no edges, and go to metres."""
    shift = np.random.default_rng(SEED + 1).uniform(-0.34, 0.34, (2 * rows + 1, 2 * columns + 1, 2))
    shift[::2, 1::2] = (shift[::2, :-2:2] + shift[::2, 2::2]) / 2.0  # middles of edges stay near them
    shift[1::2] = (shift[:-2:2] + shift[2::2]) / 2.0

    def move(xy: Array) -> Array:
        at = np.round(xy * 2.0).astype(int)
        moved = xy + shift[at[:, 1], at[:, 0]]
        return np.column_stack([moved[:, 0] * CELL_M - HALF_X_M, HALF_Y_M - moved[:, 1] * CELL_M])

    return np.asarray(shapely.transform(polygons, move))


def blobs(rng: np.random.Generator, centres: Array, radius_m: Array, vertices: Array, rough: float) -> Array:
    """Make star-shaped polygons around centres, with as many vertices as asked for."""
    index = np.repeat(np.arange(len(centres)), vertices)
    step = np.arange(len(index)) - np.repeat(np.cumsum(vertices) - vertices, vertices)
    angle = 2.0 * np.pi * (step + rng.uniform(-0.35, 0.35, len(index))) / vertices[index]
    far = np.ones(len(index))
    for wave in (2, 3, 5, 8, 13, 21):
        phase = rng.uniform(0.0, 2.0 * np.pi, len(centres))
        far += rough / wave * np.sin(wave * angle + phase[index])
    far = np.maximum(far + rng.uniform(-0.1, 0.1, len(index)) * 12.0 / np.maximum(vertices[index], 12), 0.2)
    reach = (radius_m[index] * far)[:, None]
    xy = centres[index] + reach * np.column_stack([np.cos(angle), np.sin(angle)])
    return np.asarray(shapely.polygons(shapely.linearrings(xy, indices=index)))


def sites(count: int) -> Array:
    """Make sites: 10 to 20 vertices, 60 to 150 m wide, anywhere in the zone."""
    out = []
    for block in range(-(-count // BLOCK)):
        rng = np.random.default_rng([SEED, block])
        centres = rng.uniform((-HALF_X_M + 200, -HALF_Y_M + 200), (HALF_X_M - 200, HALF_Y_M - 200), (BLOCK, 2))
        out.append(blobs(rng, centres, rng.uniform(30.0, 75.0, BLOCK), rng.integers(10, 21, BLOCK), 0.15))
    return np.concatenate(out)[:count]


def layers(largest: int) -> dict[str, gpd.GeoDataFrame]:
    """Make the layers of the zone, in the analysis CRS; columns id and status."""
    rng = np.random.default_rng(SEED + 2)
    grid = np.stack(np.meshgrid(np.linspace(-0.8, 0.8, 5), np.linspace(-0.8, 0.8, 5)), axis=-1).reshape(-1, 2)
    cells = grid * (HALF_X_M, HALF_Y_M) + rng.uniform(-300.0, 300.0, (25, 2))
    red_line = blobs(rng, cells, rng.uniform(500.0, 1100.0, 25), rng.integers(200, 1500, 25), 0.25)
    at = rng.uniform((-9_000.0, -8_000.0), (9_000.0, 8_000.0), (60, 2))
    plots = blobs(rng, at, rng.uniform(80.0, 250.0, 60), rng.integers(8, 30, 60), 0.15)
    edge = np.array([[-1.02, -1.03], [1.04, -1.02], [1.03, 1.02], [-1.03, 1.03]]) * (HALF_X_M, HALF_Y_M)
    made = {
        "boundary": shapely.segmentize(np.array([shapely.Polygon(edge)]), 150.0),
        "red_line": red_line,
        "forest": forest(largest),
        "plots": plots,
        "stations": shapely.points([(-4_000.0, 2_500.0), (3_500.0, -3_000.0), (6_000.0, 5_500.0)]),
    }
    out = {}
    for name, shapes in made.items():
        frame = gpd.GeoDataFrame({"id": [f"{name[0].upper()}{n:05d}" for n in range(1, len(shapes) + 1)]}, geometry=shapes)
        frame["status"] = np.array(["listed", "suspected", "restored"])[np.arange(len(frame)) % 3]
        out[name] = frame
    return out


ZONE_TOML = f"""id = "bench"
title = {{ zh = "测速片区", en = "Benchmark zone" }}
centre = [{CENTRE[0]}, {CENTRE[1]}]
boundary = "boundary"
site_accuracy_m = 2.0
sliver_m2 = 1.0
"""
LAYER_TOML = """
[layers.{name}]
title = {{ zh = "{name}", en = "{name}" }}
kind = "vector"
path = "{name}.fgb"
geometry = "{kind}"
id = "id"
crs = "EPSG:4490"
accuracy_m = {accuracy}
coverage = "{coverage}"
status = "synthetic"
audience = "public"
source = {{ publisher = "scripts/bench.py", date = 2026-01-01, licence = "CC0-1.0" }}
paint = {{ colour = "#336699" }}
"""
RULE_TOML = """
[[rule]]
id = "{id}"
layer = "{layer}"
where = {where}
test = {{ measure = "{measure}", op = "{op}", value = {value} }}
effect = "{effect}"
level = "zone"
dimension = "spatial"
says = {{ zh = "测速规则 {id}，无法律含义", en = "benchmark rule {id}, no legal meaning" }}
in_force = {{ start = 2026-01-01 }}
basis = {{ title = "scripts/bench.py", article = "1", url = "", verified = true }}
"""
ACCURACY_M = {"boundary": 0.0, "red_line": 5.0, "forest": 10.0, "plots": 2.0, "stations": 20.0}
RULES = (
    ("FOR-1", "forest", "{}", "overlap_share", ">", 0.25, "approval"),
    ("ERL-1", "red_line", "{}", "overlap_m2", ">", 0.0, "prohibit"),
    ("SOIL-1", "plots", '{ status = ["listed", "suspected"] }', "overlap_m2", ">", 0.0, "condition"),
    ("AIR-1", "stations", "{}", "distance_m", "<=", 3000.0, "supervise"),
)
TARGETS_TOML = """[[target]]
id = "red-line-area"
title = { zh = "红线面积", en = "red line area" }
quantity = { kind = "layer_area", layer = "red_line", within = "boundary" }
op = ">="
value = 27.5
unit = "km2"
basis = { title = "scripts/bench.py", article = "1", url = "", verified = true }
"""
POLYGON_LAYERS = ("forest", "red_line", "plots")
