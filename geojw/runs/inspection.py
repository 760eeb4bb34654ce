"""What a file of sites is, whether it can be trusted, and what of it would be screened."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow as pa
import shapely
from pyarrow import compute

from geojw.decide.batch import LayerData
from geojw.decide.screening import BATCH
from geojw.errors import Fault, LayerError, SitesError
from geojw.intake.boundary_points import Plots
from geojw.intake.coordinates import Extent
from geojw.intake.delivery import GEOMETRY, REASON, X, Y
from geojw.intake.mapping import sources
from geojw.intake.site_files import SiteFile, SiteFiles
from geojw.intake.sites import place
from geojw.intake.suspicion import Reference, suspect
from geojw.law.quantity_rows import AREA_UNITS
from geojw.measure.geodesy import Geometries
from geojw.measure.repair import in_analysis
from geojw.runs.cleaned import write_cleaned
from geojw.texts import say
from geojw.zone import Zone

HA_M2, MU_M2 = AREA_UNITS["ha"], AREA_UNITS["mu"]

KINDS = {0: "point", 1: "line", 2: "polygon"}
LISTED = 1_000
"""Rows that a list names at most; the counts count all."""

SUSPECTS = 60
"""Sites of a file that are held against the layers."""


@dataclass(eq=False)
class Inspection:
    """
    What one file is, and what of it would be read.

    Parameters
    ----------
    source
        The file's name.
    facts
        Format, table, encoding, CRS and how each was found; empty if it cannot be used.
    refused
        Why it cannot be used.
    remarks
        What was decided or noticed.
    rows, read
        Features of the file, and sites that would be screened.
    kinds
        Point, line, polygon, none -> how many.
    extent
        West, south, east, north in degrees (CGCS2000) of what would be screened.
    area_m2
        Ellipsoidal, of the polygons that would be screened.
    repaired
        Columns row, site_id, why, changed_m2.
    twice, unnamed
        Ids that occur more than once, and how many rows have none.
    fields
        Columns name, type, filled, attribute.
    missing
        Columns that rules ask for and the file lacks.
    rejected
        Columns row, site_id, reason (a `Fault`).
    stated_areas
        For boundary points: columns plot, name, stated_m2, planar_m2, ellipsoidal_m2, agrees.
    """

    source: str
    facts: dict[str, str] = field(default_factory=dict)
    refused: tuple[Fault, ...] = ()
    remarks: list[Fault] = field(default_factory=list)
    rows: int = 0
    read: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    extent: tuple[float, float, float, float] | None = None
    area_m2: float = 0.0
    repaired: list[dict[str, Any]] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    unnamed: int = 0
    fields: list[dict[str, Any]] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    rejected: list[dict[str, Any]] = field(default_factory=list)
    stated_areas: list[dict[str, Any]] = field(default_factory=list)

    @property
    def rejected_count(self) -> int:
        """Rows that would not be screened."""
        return self.rows - self.read

    def summary(self, lang: str) -> list[tuple[str, str]]:
        """Give label and text of what the terminal says of the file as a whole."""

        def line(key: str, text: str) -> tuple[str, str]:
            return say(f"intake.{key}", lang), text

        facts = self.facts
        if not facts:
            return []
        count = {"rows": f"{self.rows:,}", "read": f"{self.read:,}", "rejected": f"{self.rejected_count:,}"}
        kinds = [f"{say(f'intake.kind.{kind}', lang)} {n:,}" for kind, n in sorted(self.kinds.items())]
        figures = {
            "ha": f"{self.area_m2 / HA_M2:,.4f}",
            "mu": f"{self.area_m2 / MU_M2:,.3f}",
            "m2": f"{self.area_m2:,.1f}",
        }
        ids = [
            say("intake.ids_from", lang, column=facts["id_column"])
            if facts["id_column"]
            else say("intake.ids_own", lang)
        ]
        if self.twice:
            ids.append(say("intake.ids_twice", lang, count=len(self.twice), ids=", ".join(self.twice[:5])))
        if self.unnamed and facts["id_column"]:
            ids.append(say("intake.ids_missing", lang, count=self.unnamed))
        return [
            line("format", facts["format"]),
            *([line("table", facts["table"])] if facts["table"] else []),
            line("encoding_title", facts["encoding_how"]),
            line("crs_title", say("intake.crs_line", lang, **facts)),
            line("rows", say("intake.counts", lang, **count)),
            line("kinds", "  ".join(kinds)),
            *([line("extent", "{:.6f}, {:.6f} — {:.6f}, {:.6f}".format(*self.extent))] if self.extent else []),
            line("area", say("intake.areas", lang, **figures)),
            line("ids", say("format.join", lang).join(ids)),
        ]

    def lists(self, lang: str) -> list[tuple[str, tuple[str, ...], list[list[str]]]]:
        """Give title, columns and rows of the lists, those that have any."""
        rejected = [{**row, "reason": row["reason"].text(lang)} for row in self.rejected]
        fields = [{**row, "type": say(f"intake.type.{row['type']}", lang)} for row in self.fields]
        agree = [
            {**row, "agrees": say(f"intake.agrees.{row['agrees']}", lang) if row["agrees"] else ""}
            for row in self.stated_areas
        ]
        lists: tuple[tuple[str, tuple[str, ...], list[dict[str, Any]]], ...] = (
            ("fields", ("name", "type", "filled", "attribute"), fields),
            ("repaired", ("row", "site_id", "why", "changed_m2"), self.repaired),
            ("stated_areas", ("plot", "name", "stated_m2", "planar_m2", "ellipsoidal_m2", "agrees"), agree),
            ("rejected", ("row", "site_id", "reason"), rejected),
        )
        return [
            (say(f"intake.{key}", lang), columns, [[str(row[column]) for column in columns] for row in rows])
            for key, columns, rows in lists
            if rows
        ]

    def as_json(self, lang: str) -> dict[str, Any]:
        """Give it for machines: the same keys in every language, sentences in one."""
        told = [{**row, "reason": row["reason"].text(lang), "key": row["reason"].key} for row in self.rejected]
        return {
            "source": self.source, "usable": not self.refused, **self.facts,
            "refused": [{"key": fault.key, "text": fault.text(lang)} for fault in self.refused],
            "remarks": [{"key": fault.key, "text": fault.text(lang)} for fault in self.remarks],
            "rows": self.rows, "read": self.read, "rejected_count": self.rejected_count, "kinds": dict(self.kinds),
            "extent": self.extent, "area_m2": round(self.area_m2, 4), "area_ha": round(self.area_m2 / HA_M2, 8),
            "area_mu": round(self.area_m2 / MU_M2, 7), "repaired": self.repaired, "duplicate_ids": self.twice,
            "rows_without_id": self.unnamed, "fields": self.fields, "missing": self.missing, "rejected": told,
            "stated_areas": self.stated_areas,
        }  # fmt: skip


def extent_of(zone: Zone) -> Extent | None:
    """Give where sites are expected: the zone's outline, if it can be read."""
    try:
        outline = zone.layer(zone.pack.zone.boundary).index.everything.union
    except LayerError:
        return None
    return None if shapely.is_empty(outline) else Extent(zone.analysis, outline)


def inspect(path: str | Path, zone: Zone, lang: str, **asked: Any) -> Inspection:  # noqa: ANN401 - of `SiteFiles`
    """
    Look at one file as screening would.

    Parameters
    ----------
    path
        The file.
    zone
        The zone that it would be screened against.
    lang
        Of the words in `facts`.
    **asked
        As in `SiteFiles`.

    Returns
    -------
    Inspection
        Also of a file that cannot be used: then it says why.
    """
    try:
        files = SiteFiles(path, columns=zone.pack.zone.columns, extent=extent_of(zone), **asked)
    except SitesError as error:
        return Inspection(Path(path).name, refused=error.faults)
    file = files.files[0]
    out = Inspection(file.path.name, _facts(file, lang), remarks=list(files.remarks), rows=len(files))
    out.twice = files.repeated
    out.unnamed = sum(name == f"{file.path.stem}-{row}" for row, name in enumerate(file.ids().to_pylist(), 1))
    _fields(out, file, zone.pack.site_columns)
    bounds = np.full((0, 4), 0.0)
    for sites in files.batches(BATCH):
        raw = np.asarray(sites.frame.geometry.values, dtype=object)
        placed = place(sites, zone.analysis, zone.pack.site_columns)
        shapes = np.asarray(placed.frame.geometry.values, dtype=object)
        out.read += len(shapes)
        out.kinds.update(KINDS.get(int(kind), "none") for kind in shapely.get_dimensions(shapes))
        out.area_m2 += float(shapely.area(shapes).sum())
        bounds = np.vstack([bounds, shapely.bounds(zone.analysis.to_geographic(shapes))])
        _take_remarks(out, placed.remarks)
        out.repaired += _repairs(sites.frame, raw, placed.frame.index, zone)[: LISTED - len(out.repaired)]
        for row, name, reason in placed.rejected[["row", "site_id", "reason"]].itertuples(index=False):
            if len(out.rejected) < LISTED:
                out.rejected.append({"row": row, "site_id": name, "reason": reason})
    if len(bounds):
        low, high = bounds[:, :2].min(axis=0), bounds[:, 2:].max(axis=0)
        out.extent = (float(low[0]), float(low[1]), float(high[0]), float(high[1]))
    out.kinds.update({"rejected": out.rejected_count} if out.rejected_count else {})
    out.stated_areas = _stated_areas(file, zone)
    out.remarks += offset_warnings(files, zone, _layers(zone), lang)
    return out


def write(paths: Sequence[Path], zone: Zone, target: Path, lang: str, **asked: Any) -> None:  # noqa: ANN401
    """Write the cleaned file of all files together; see `cleaned.write_cleaned`."""
    files = SiteFiles(*paths, columns=zone.pack.zone.columns, extent=extent_of(zone), **asked)
    write_cleaned(files, zone, target, lang)


def _take_remarks(out: Inspection, remarks: Sequence[Fault]) -> None:
    """Keep what is said of the file; repairs have a table of their own."""
    out.remarks += [fault for fault in remarks if fault.key != "repaired" and fault not in out.remarks]


def _facts(file: SiteFile, lang: str) -> dict[str, str]:
    said = file.said
    found = file.place
    label = {"label": said.encoding.label, "encoding": said.encoding.name}
    how = "moved" if found.move is not None else (said.crs_how or "asked")
    if any(fault.key == "coords.overridden" for fault in file.remarks):
        how = "asked"
    return {
        "format": said.format,
        "table": said.table,
        "encoding": said.encoding.name,
        "encoding_how": say(f"intake.encoding.{said.encoding.how}", lang, **label),
        "crs": found.code or found.crs.to_string(),
        "crs_name": found.crs.name,
        "crs_how": say(f"intake.crs.{how}", lang),
        "id_column": file.id_column or "",
        "name_column": file.name_column or "",
    }


def _fields(out: Inspection, file: SiteFile, wanted: Mapping[str, Sequence[str]]) -> None:
    """Say of each column what it is taken for, and which columns that rules ask for are not there."""
    table = file.delivered.table
    names = [name for name in table.column_names if name not in (GEOMETRY, REASON, X, Y)]
    found = sources(names, wanted)
    owner = {column: key for key, columns in found.items() for column in columns}
    owner |= {file.name_column: "name"} if file.name_column else {}
    owner |= {file.id_column: "site_id"} if file.id_column else {}
    for name in names:
        said = {"name": name, "type": _kind(table.schema.field(name).type), "filled": _filled(table[name])}
        out.fields.append({**said, "attribute": owner.get(name, "")})
    out.missing = [key for key in wanted if key not in found and key != "accuracy_m"]


def _kind(kind: pa.DataType) -> str:
    """Give the type of a column in a word."""
    if pa.types.is_boolean(kind):
        return "boolean"
    return "number" if pa.types.is_integer(kind) or pa.types.is_floating(kind) else "text"


def _filled(column: pa.ChunkedArray) -> int:
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return int(compute.sum(compute.not_equal(compute.utf8_trim_whitespace(column), "")).as_py() or 0)
    return int(len(column) - column.null_count)


def _repairs(frame: gpd.GeoDataFrame, raw: Geometries, kept: pd.Index[Any], zone: Zone) -> list[dict[str, Any]]:
    bad = np.flatnonzero(~shapely.is_valid(raw) & ~shapely.is_missing(raw) & frame.index.isin(kept))
    if not bad.size:
        return []
    _, repairs = in_analysis(raw[bad], frame.crs, zone.analysis)
    return [
        {
            "row": int(frame["_row"].iloc[at]), "site_id": str(list(frame.index)[at]), "why": str(repairs.why[k]),
            "changed_m2": round(float(repairs.changed_m2[k]), 4),
        }
        for k, at in enumerate(bad)
    ]  # fmt: skip


def _stated_areas(file: SiteFile, zone: Zone) -> list[dict[str, Any]]:
    """Compare the areas that boundary points state with the computed ones."""
    if file.said.crs_how != "header" or file.place.move is not None:
        return []
    frame = file.delivered.table.drop_columns([GEOMETRY, REASON, X, Y]).to_pandas()
    shapes = np.asarray(shapely.from_wkb(file.delivered.table[GEOMETRY].to_numpy()), dtype=object)
    stated = file.stated
    if stated is None:
        return []
    plots = Plots(frame, shapes, np.full(len(frame), None), (), file.said.header, stated)
    areas = plots.areas(zone.analysis, file.crs)
    table = pd.concat([frame[["plot", "name"]], areas[["stated_m2", "planar_m2", "ellipsoidal_m2", "agrees"]]], axis=1)
    return [
        {key: round(value, 4) if isinstance(value, float) else value for key, value in row.items()}
        for row in table.to_dict("records")
    ]


def _layers(zone: Zone) -> dict[str, LayerData]:
    """Read every layer that can be read."""
    for name in zone.pack.layers:
        with suppress(LayerError):  # `geojw check` says what is wrong with it
            zone.layer(name)
    return zone.layers_read()


def offset_warnings(files: SiteFiles, zone: Zone, layers: Mapping[str, LayerData], lang: str) -> list[Fault]:
    """
    Warn where the sites of a file look as if a map service's offset were in them.

    Parameters
    ----------
    files
        The sites.
    zone
        The zone.
    layers
        The layers whose edges they might follow.
    lang
        Of the layers' titles.
    """
    rows = {name: zone.pack.layers[name] for name in layers}
    references = {
        rows[name].title.in_(lang): Reference(data.index.geometries, rows[name].accuracy_m)
        for name, data in layers.items()
    }
    out: list[Fault] = []
    for file in files.files:
        if file.place.move is None and len(file):
            some = np.unique(np.linspace(0, len(file) - 1, SUSPECTS).astype(np.int64))
            frame = file.read(some)
            shapes, _ = in_analysis(np.asarray(frame.geometry.values, dtype=object), file.crs, zone.analysis)
            out += suspect(shapes[~shapely.is_empty(shapes)], references, zone.analysis, file.path.name)
    return out
