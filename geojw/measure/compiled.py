"""Compiled code, loaded before it is needed."""

from __future__ import annotations

import geopandas as gpd
import numpy as np
import shapely

from geojw.measure.accuracy import most_changed, moved_overlap
from geojw.measure.geodesy import AnalysisCRS
from geojw.measure.index import LayerIndex, Shapes
from geojw.measure.nearness import nearest
from geojw.measure.overlay import overlap_pairs, shared_shapes
from geojw.measure.simple import are_simple, plain_rings


def load() -> None:
    """Measure three squares in every way: code is loaded where it is first called."""
    analysis = AnalysisCRS(0.0, 0.0)
    sites = np.array([shapely.box(0, 0, 9, 9), shapely.box(8, 8, 30, 30), shapely.box(90, 90, 99, 99)], dtype=object)
    are_simple(plain_rings(sites))
    layer = LayerIndex(gpd.GeoDataFrame(geometry=sites[:1], crs=analysis.crs), "polygon")
    shapes, every = Shapes.of(sites, many=True), layer.everything
    pairs = overlap_pairs(shapes, layer)
    shared_shapes(shapes.take(pairs.site), pairs.feature, pairs.overlap, layer)
    accuracy, own = np.ones(1), np.ones(len(sites))
    for grown in (False, True):
        most_changed(shapes, every, accuracy, own, grown=grown)
    moved_overlap(shapes, np.zeros(len(sites)), every, accuracy, own, 1.0, grown=True)
    nearest(shapes, every, analysis)
