"""How much faster two Dask workers are than one: the whole run, scheduler counted (scripts/bench --only cluster)."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import statistics
import sys
import tempfile
import time
from datetime import UTC, date, datetime
from pathlib import Path

import geopandas as gpd
import numpy as np
import pyarrow.parquet as pq
import shapely
from distributed import LocalCluster

import geojw
from geojw.intake.site_files import SiteFiles
from geojw.runs import cluster
from geojw.runs.run import Options

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))
import sections  # noqa: E402 - beside this script

DAY = date(2026, 11, 22)
ASKED = 1.6
"""How many times faster two workers are to be."""


def write_sites(path: Path, zone: geojw.Zone, count: int) -> None:
    """Write rectangles all over the zone."""
    outline = zone.layer(zone.pack.zone.boundary).index.everything.union
    west, south, east, north = shapely.bounds(zone.analysis.to_geographic(np.array([outline], dtype=object)))[0]
    rng = np.random.default_rng(6)
    x, y = rng.uniform(west, east, count), rng.uniform(south, north, count)
    shapes = shapely.box(x, y, x + rng.uniform(1e-4, 5e-4, count), y + rng.uniform(1e-4, 5e-4, count))
    ids = [f"S{number:08}" for number in range(count)]
    gpd.GeoDataFrame({"site_id": ids}, geometry=shapes, crs="EPSG:4490").to_file(path, engine="pyogrio")


def content(folder: Path) -> str:
    """Give a checksum of the rows of all tables."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.parquet")):
        for batch in pq.read_table(path).to_batches():
            digest.update(str(batch.to_pandas().to_numpy().tolist()).encode())
    return digest.hexdigest()


def timed(zone: geojw.Zone, sites: Path, out: Path, workers: int, batch: int) -> float:
    """Run once on a cluster that stands already; give the seconds from opening the sites to the passport."""
    with LocalCluster(
        n_workers=workers, threads_per_worker=1, dashboard_address=None, host="127.0.0.1", silence_logs=50
    ) as here:
        start = time.perf_counter()
        options = Options(DAY, out, format="parquet", with_map=False, batch=batch)
        cluster.run(SiteFiles(sites), zone, options, lambda *_: None, here.scheduler_address)
        return time.perf_counter() - start


def main() -> None:
    """Compare, in pairs, and hold the results against each other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sites", type=int, default=1_000_000)
    parser.add_argument("--batch", type=int, default=20_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--zone", default="gaoxin")
    parser.add_argument("--write", action="store_true", help="write the section of docs/performance.md")
    asked = parser.parse_args()
    zone = geojw.open_zone(asked.zone)
    with tempfile.TemporaryDirectory(prefix="geojw-bench-") as name:
        folder = Path(name)
        write_sites(folder / "sites.fgb", zone, asked.sites)
        pairs = []
        for turn in range(asked.repeat):
            pair = {}
            for workers in (1, 2) if turn % 2 == 0 else (2, 1):
                fresh = geojw.open_zone(asked.zone)
                pair[workers] = timed(fresh, folder / "sites.fgb", folder / f"out{workers}", workers, asked.batch)
            pairs.append(pair)
            print(json.dumps({"one_s": round(pair[1], 2), "two_s": round(pair[2], 2), "ratio": pair[1] / pair[2]}))
        if content(folder / "out1") != content(folder / "out2"):
            raise SystemExit("the results differ")
        ratio = statistics.median(pair[1] / pair[2] for pair in pairs)
        print(f"{asked.sites:,} sites: two workers are {ratio:.2f} times as fast as one (median of {len(pairs)} pairs)")
        if asked.write:
            sections.write(ROOT / "docs" / "performance.md", section(asked.sites, zone.pack.zone.id, pairs))


def section(sites: int, zone: str, pairs: list[dict[int, float]]) -> str:
    """Give the section of the page of performance."""
    one, two = (statistics.median(pair[workers] for pair in pairs) for workers in (1, 2))
    ratio = statistics.median(pair[1] / pair[2] for pair in pairs)
    word = "met" if ratio >= ASKED else "NOT met"
    return f"""## Dask on one machine

`scripts/bench --only cluster --zone FOLDER --write` measures and writes this section. {datetime.now(UTC).date()};
{os.cpu_count()} cores. `geojw screen --engine dask` of {sites:,} sites on the zone *{zone}*, client and scheduler on
the same cores, pairs: {len(pairs)}. One worker of one thread {one:.1f} s, two {two:.1f} s: {ratio:.2f} x (asked
{ASKED} x, {word}).
The tables are the same to the byte. The client hands out the sites while the workers measure, so that one
worker has some of the second core's help already.
"""


if __name__ == "__main__":
    main()
