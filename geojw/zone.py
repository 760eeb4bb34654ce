"""A zone pack with its data, and the screening of sites against it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from functools import cache, cached_property, partial
from importlib import resources
from pathlib import Path
from threading import RLock
from zoneinfo import ZoneInfo

import geopandas as gpd
import numpy as np
import shapely
from pyproj import CRS, Transformer

from geojw.decide import screening
from geojw.decide.batch import LayerData
from geojw.decide.counted import filter_faults
from geojw.decide.screening import Screening
from geojw.errors import Fault, LayerError, PackError, SitesError
from geojw.intake.layer_files import (
    Bounds,
    Features,
    checked_hash,
    column_texts,
    holds,
    inspect_layer,
    is_large,
    read_layer,
)
from geojw.intake.sites import Sites, place, sites_of
from geojw.law.catalogue import UNLIMITED, Layer
from geojw.law.pack import Pack, load_pack
from geojw.measure.coverage import Coverage
from geojw.measure.geodesy import AnalysisCRS, Geometries, read_crs
from geojw.measure.index import LayerIndex, Selection
from geojw.measure.rasters import RasterData, open_raster, undeclared_values


@dataclass(eq=False)
class Zone:
    """
    A zone pack with its data, each layer read once when first asked for.

    Parameters
    ----------
    pack
        The pack.
    files
        Layers that are read from another file than the pack's.
    """

    pack: Pack
    files: Mapping[str, Path] = field(default_factory=dict)
    repairs: dict[str, list[Fault]] = field(default_factory=dict)
    hashes: dict[str, str] = field(default_factory=dict)
    _read: dict[str, LayerData | LayerError] = field(default_factory=dict)
    _rasters: dict[str, RasterData | LayerError] = field(default_factory=dict)
    _lock: RLock = field(default_factory=RLock)

    @cached_property
    def analysis(self) -> AnalysisCRS:
        """The analysis CRS."""
        return AnalysisCRS(*self.pack.zone.centre)

    def layer(self, name: str, near: shapely.Geometry | None = None, reach_m: float = 0.0) -> LayerData:
        """
        Read a layer, or give it again.

        Parameters
        ----------
        name
            Its id.
        near
            Where the sites are, in the analysis CRS; a layer of many features is then read only around it.
        reach_m
            How far around, in m.

        Returns
        -------
        LayerData
            Ready to be measured.

        Raises
        ------
        LayerError
            With every fault that makes the layer unusable.
        """
        with self._lock:
            known = self._read.get(name)
            if known is None or (isinstance(known, LayerData) and _too_small(known, near, reach_m)):
                try:
                    known = self._load(name, near, reach_m)
                except LayerError as error:
                    known = error
                self._read[name] = known
        if isinstance(known, LayerError):
            raise known
        return known

    def _load(self, name: str, near: shapely.Geometry | None, reach_m: float) -> LayerData:
        row = self.pack.layers[name]
        path = self.files.get(name, self.pack.folder / row.path)
        crs, info = inspect_layer(path, row, name)
        self.hashes[name] = checked_hash(path, row)
        window = None if near is None or not is_large(info) else self._window(near, reach_m, crs)
        if window is not None and holds(window, info["total_bounds"]):
            window = None
        frame, ids = read_layer(path, row, crs, info, window)
        ready = Features(frame, ids, row, crs, self.analysis, self.pack.zone.sliver_m2)
        self.repairs[name] = ready.repairs
        values_of = cache(partial(column_texts, path if window is not None else None, row, frame))
        data = ready.data(self._coverage(row, ready.untrusted), values_of)
        return data if window is None else replace(data, reach_m=reach_m, near=near)

    def raster(self, name: str) -> RasterData:
        """
        Open a raster layer, or give it again; its cells are read when sites are measured.

        Parameters
        ----------
        name
            Its id.

        Returns
        -------
        RasterData
            Ready to be measured.

        Raises
        ------
        LayerError
            With every fault that makes the layer unusable.
        """
        with self._lock:
            if name not in self._rasters:
                try:
                    self._rasters[name] = self._open_raster(name)
                except LayerError as error:
                    self._rasters[name] = error
            known = self._rasters[name]
        if isinstance(known, LayerError):
            raise known
        return known

    def _open_raster(self, name: str) -> RasterData:
        row = self.pack.layers[name]
        path = self.files.get(name, self.pack.folder / row.path)
        if not path.exists():
            raise LayerError([Fault("layer_missing", row.path, {"layer": name})])
        wanted = read_crs(row.crs, f"catalogue.toml, layers.{name}, crs")
        raster = open_raster(path, row.path, wanted, row.classes, self.analysis)
        self.hashes[name] = checked_hash(path, row)
        accuracy = np.nan if row.accuracy_m is None else row.accuracy_m
        nothing: Geometries = np.zeros(0, dtype=object)
        return RasterData(raster, self._coverage(row, nothing), accuracy, frozenset({row.status}))

    def _window(self, near: shapely.Geometry, reach_m: float, crs: CRS) -> Bounds:
        """Give what lies within a reach, as bounds in the layer's own CRS."""
        x0, y0, x1, y1 = shapely.bounds(near)
        back = Transformer.from_crs(self.analysis.crs, crs, always_xy=True)
        pad = reach_m * 1.001
        west, south, east, north = back.transform_bounds(x0 - pad, y0 - pad, x1 + pad, y1 + pad)
        return west, south, east, north

    def _coverage(self, row: Layer, holes: Geometries) -> Coverage:
        """Find where a layer is authoritative; a coverage layer that failed covers nothing."""
        if row.coverage == UNLIMITED:
            return Coverage(None, holes)
        try:
            cover = self.layer(row.coverage)
        except LayerError:
            return Coverage(_nowhere(self.analysis), holes)
        bad = np.concatenate([holes, cover.coverage.holes])
        return Coverage(cover.index.select(~cover.adrift & ~cover.unplaced), bad)

    @property
    def sample_sites(self) -> Path:
        """The file of sample sites."""
        if self.pack.zone.sample_sites is None:
            raise SitesError([Fault("no_samples", self.pack.zone.id)])
        return self.pack.folder / self.pack.zone.sample_sites

    def layers_read(self) -> dict[str, LayerData]:
        """Give the layers that were read without fault so far."""
        return {name: data for name, data in self._read.items() if isinstance(data, LayerData)}

    def faults(self) -> tuple[list[Fault], list[Fault]]:
        """
        Read every layer and hold it against every enabled rule and every target.

        Returns
        -------
        stopping : list of Fault
            What makes a layer fail.
        repaired : list of Fault
            What is wrong with single features, and how they are measured all the same.
        """
        stopping: list[Fault] = []
        repaired: list[Fault] = []
        for name, row in self.pack.layers.items():
            rules = [rule for rule in self.pack.rules if rule.enabled and rule.layer == name]
            try:
                if row.kind == "raster":
                    repaired += self._undeclared(name)
                else:
                    data = self.layer(name)
                    stopping += screening.where_faults(row, rules, data)
                    for target in self.pack.targets:
                        if target.quantity.layer == name:
                            filters = (*target.quantity.counts, *target.quantity.of)
                            stopping += filter_faults(data, row, filters, target.id)
            except LayerError as error:
                stopping += error.faults
            repaired += self.repairs.get(name, [])
        return stopping, repaired

    def _undeclared(self, name: str) -> list[Fault]:
        """Look through a raster for values that no class declares."""
        raster = self.raster(name).raster
        values, count = undeclared_values(raster)
        if not count:
            return []
        named = ", ".join(values)
        return [Fault("cells_undeclared", self.pack.layers[name].path, {"count": f"{count:,}", "values": named})]


def _too_small(data: LayerData, near: shapely.Geometry | None, reach_m: float) -> bool:
    """Whether what was read does not hold what is asked for."""
    if data.reach_m is None:
        return False
    if near is None or data.near is None:
        return True
    return data.reach_m < reach_m or not shapely.covers(data.near, near)


def _nowhere(analysis: AnalysisCRS) -> Selection:
    empty = gpd.GeoDataFrame(geometry=gpd.GeoSeries([], crs=analysis.crs))
    return LayerIndex(empty, "polygon").everything


def open_zone(name: str | Path) -> Zone:
    """
    Open a zone pack.

    Parameters
    ----------
    name
        The name of an embedded zone (``gaoxin``) or a folder.

    Returns
    -------
    Zone
        Its layers are read when they are first needed.

    Raises
    ------
    PackError
        With every fault of its TOML files.
    """
    return Zone(load_pack(zone_folder(name)))


def zone_folder(name: str | Path) -> Path:
    """Find the folder of an embedded zone or a user's own."""
    path = Path(name)
    if path.is_dir():
        return path
    inside = Path(str(resources.files("geojw"))) / "layers"
    embedded = inside if inside.is_dir() else inside.parent.parent / "layers"
    if path.name == str(name) and (embedded / path.name / "zone.toml").is_file():
        return embedded / path.name
    known = ", ".join(sorted(p.parent.name for p in embedded.glob("*/zone.toml")))
    raise PackError([Fault("zone_unknown", str(name), {"known": known})])


def today() -> date:
    """Give the day in China, where the law that counts is."""
    return datetime.now(ZoneInfo("Asia/Shanghai")).date()


def screen(
    sites: Sites | gpd.GeoDataFrame,
    zone: Zone,
    *,
    on: date | None = None,
    lang: str = "zh",
    workers: int | None = None,
    batch: int = screening.BATCH,
    many: bool | None = None,
) -> Screening:
    """
    Screen sites against a zone.

    Parameters
    ----------
    sites
        From `read_sites`, or a frame with a CRS whose ids are in a column ``site_id`` or the index.
    zone
        From `open_zone`.
    on
        The day whose rules count; by default today in Asia/Shanghai.
    lang
        ``zh`` or ``en``.
    workers, batch
        Threads, and sites measured at a time; they change no result.
    many
        Whether to measure by compiled code; by default from `screening.MANY` sites on.

    Returns
    -------
    Screening
        With the tables `verdicts`, `findings`, `overlaps`, `rejected`.

    Raises
    ------
    SitesError
        The frame has no CRS.
    """
    placed = place(sites if isinstance(sites, Sites) else sites_of(sites), zone.analysis, zone.pack.site_columns)
    return screening.screen(
        placed.frame,
        zone,
        on=on or today(),
        lang=lang,
        workers=workers,
        batch=batch,
        many=many,
        rejected=placed.rejected,
    )
