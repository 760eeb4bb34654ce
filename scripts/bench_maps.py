#!/usr/bin/env python3
"""
Benchmark of the maps: weight, time to ready, pan and zoom, beside stock folium on the same sites.

    scripts/bench --only maps [--sites 1000 10000 100000] [--write]

Needs playwright and chromium. Stock folium gets its scripts from this checkout instead of a CDN, so only drawing is
compared. Times are medians; a page that is not ready in time is said to be so. `--write` writes the section of
docs/performance.md.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import time
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import folium
import geopandas as gpd
import numpy as np
import shapely
from playwright.sync_api import Browser, Route, sync_playwright
from playwright.sync_api import TimeoutError as Late

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from geojw.law.catalogue import Audience  # noqa: E402
from geojw.maps.editions import Asked  # noqa: E402 - what is measured is this checkout
from geojw.maps.publish import Told, draw_zone, screening_page  # noqa: E402
from geojw.zone import open_zone, screen  # noqa: E402

sys.path.insert(0, str(ROOT / "scripts"))
import sections  # noqa: E402 - beside this script

DAY = date(2026, 11, 22)
SEED = 20261127
LIMIT_MS = 120_000
MOVES = 5
RUNS, LIGHT_MB = 5, 2.0
"""How often a light page is opened: what is told is the median."""
FRAMES = """async act => {
  const frame = () => new Promise(done => requestAnimationFrame(done));
  for (let i = 0; i < 3; i++) await frame();
  const start = performance.now();
  act();
  for (let i = 0; i < 2; i++) await frame();
  return performance.now() - start;
}"""


READY = """selector => new MutationObserver((_, seen) => {
  if (!document.querySelector(selector)) return;
  window.readyAt = performance.now();
  seen.disconnect();
}).observe(document, { subtree: true, childList: true, attributes: true })"""
"""Notes the moment in the page: what asks from outside asks late."""


def made_sites(count: int) -> gpd.GeoDataFrame:
    """Eight-cornered sites of half a hectare all over the zone, with what the rules ask for most."""
    zone = open_zone("gaoxin")
    outline = zone.layer("boundary").index.everything.union
    rng = np.random.default_rng(SEED)
    x0, y0, x1, y1 = shapely.bounds(outline)
    xy = rng.uniform([x0, y0], [x1, y1], (2 * count, 2))
    xy = xy[shapely.contains_xy(outline, xy)][:count]
    angles = np.sort(rng.uniform(0, 2 * np.pi, (len(xy), 8)), axis=1)
    radius = rng.uniform(25, 60, (len(xy), 8))
    corners = xy[:, None, :] + np.stack([np.cos(angles), np.sin(angles)], axis=2) * radius[:, :, None]
    shapes = shapely.convex_hull(shapely.multipoints(shapely.points(corners)))
    columns = {
        "site_id": [f"B{i:06}" for i in range(len(xy))], "name": [f"项目{i}" for i in range(len(xy))],
        "industry_code": rng.choice(["3611", "2614", "3011", "7010"], len(xy)), "nature": "新建", "land_use": "1001",
        "is_construction_site": "true", "is_production": "true", "emits_pollutants": "true",
    }  # fmt: skip
    lonlat = zone.analysis.to_geographic(np.asarray(shapes, dtype=object))
    return gpd.GeoDataFrame(columns, geometry=lonlat, crs="EPSG:4490")


def our_page(count: int) -> tuple[str, float]:
    """Give our page of so many sites, and the seconds that drawing it took."""
    zone = open_zone("gaoxin")
    part = screen(made_sites(count), zone, on=DAY)
    told = Told(DAY, "zh", "基准", ["合成数据"], {}, sorted({rule.layer for rule in zone.pack.in_force(DAY)}))
    start = time.perf_counter()
    page = screening_page(zone, [part], told).page
    return page, time.perf_counter() - start


def stock_page(count: int) -> tuple[str, float]:
    """Give stock folium's page of the same sites: GeoJson with a style by verdict and a popup."""
    zone = open_zone("gaoxin")
    sites = made_sites(count)
    part = screen(sites, zone, on=DAY)
    frame = sites[["site_id", "name", "geometry"]].merge(
        part.verdicts[["site_id", "verdict", "decided_by"]], on="site_id"
    )
    start = time.perf_counter()
    made = folium.Map([29.5, 106.32], zoom_start=11, tiles=None, prefer_canvas=True)
    colours = {"prohibit": "#9c0058", "approval": "#e06c00", "clear": "#e6f4fb"}
    folium.GeoJson(
        frame.to_crs(4326), style_function=lambda f: {"fillColor": colours.get(f["properties"]["verdict"], "#a3a3a3")},
        popup=folium.GeoJsonPopup(["site_id", "name", "verdict", "decided_by"]),
    ).add_to(made)  # fmt: skip
    return made.get_root().render(), time.perf_counter() - start


def zone_page(audience: Audience) -> tuple[str, float]:
    """Give the embedded zone's page for an audience."""
    start = time.perf_counter()
    return draw_zone(open_zone("gaoxin"), Asked(DAY, audience, draft=True)).page, time.perf_counter() - start


def opened(browser: Browser, page: str, *, ours: bool) -> dict[str, float | str]:
    """Open a page from a file and measure it: ready, and a pan and a zoom till two frames later."""
    vendor = ROOT / "geojw/maps/static/vendor/leaflet"

    def answer(route: Route) -> None:
        url = route.request.url
        if url.startswith(("file:", "data:", "blob:")):
            route.continue_()
        elif "leaflet" in url and url.endswith((".js", ".css")) and "awesome" not in url and "markers" not in url:
            route.fulfill(path=vendor / ("leaflet.js" if url.endswith(".js") else "leaflet.css"))
        elif "jquery" in url:
            route.fulfill(body="window.$ = () => [{}];", content_type="text/javascript")
        else:
            route.fulfill(body="")

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "map.html"
        path.write_text(page, "utf-8")
        context = browser.new_context(viewport={"width": 1280, "height": 800})
        context.route("**/*", answer)
        tab = context.new_page()
        tab.set_default_timeout(LIMIT_MS)
        try:
            selector = "html[data-ready=yes]" if ours else ".leaflet-overlay-pane *"
            tab.add_init_script(f"({READY})({selector!r})")
            tab.goto(path.as_uri())
            tab.wait_for_selector(selector, state="attached")
            ready = float(tab.evaluate("window.readyAt"))
            name = (
                "map_screening"
                if ours
                else tab.evaluate("Object.keys(window).find(key => /^map_[0-9a-f]{32}$/.test(key))")
            )
            pans = [
                tab.evaluate(f"({FRAMES})(() => {name}.panBy([{dx}, 0], {{animate: false}}))")
                for dx in (300, -300) * MOVES
            ]
            zooms = [
                tab.evaluate(f"({FRAMES})(() => {name}.setZoom({z}, {{animate: false}}))") for z in (12, 11) * MOVES
            ]
        except Late:
            return {"ready": f"> {LIMIT_MS / 1000:.0f} s"}
        finally:
            context.close()
    return {"ready": ready, "pan": statistics.median(pans[1:]), "zoom": statistics.median(zooms[1:])}


def told(value: object) -> str:
    """Write a figure of the table."""
    return f"{value:,.0f}" if isinstance(value, float) else str(value or "")


def section(lines: list[str], load: float) -> str:
    """Give the section of the page of performance."""
    said = f"""## Maps in a browser

`scripts/bench --only maps --write` measures and writes this section. {datetime.now(UTC).date().isoformat()}; headless
Chromium without a graphics processor, {os.cpu_count()} cores; load average at the start {load:.1f}. *Public* and
*department* are the embedded zone's pages; pages of sites are those of a screening, internal, with all findings up to
5,000 sites and those that are not clear above. *Drawn* is the making of the page, *ready* from opening the file to a
map that can be used, *pan* and *zoom* to the end of the redraw. Stock folium draws the same sites, its scripts taken
from this checkout.
"""
    return "\n".join([said, *lines])


def main() -> int:
    """Measure all of it and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sites", type=int, nargs="*", default=[1_000, 10_000, 100_000])
    parser.add_argument("--write", action="store_true", help="write the section of docs/performance.md")
    options = parser.parse_args()
    cases: list[tuple[str, Any, bool]] = [
        ("public", lambda: zone_page("public"), True),
        ("department", lambda: zone_page("department"), True),
    ]
    for count in options.sites:
        cases += [
            (f"{count:,} sites", lambda n=count: our_page(n), True),
            (f"{count:,} sites, stock folium", lambda n=count: stock_page(n), False),
        ]
    load = os.getloadavg()[0]
    lines = ["| page | MB | drawn s | ready ms | pan ms | zoom ms |", "|---|---|---|---|---|---|"]
    with sync_playwright() as running:
        browser = running.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--headless", "--no-sandbox", "--disable-gpu"]
        )
        for name, make, ours in cases:
            page, drawn_s = make()
            size = len(page.encode()) / 1e6
            runs = [opened(browser, page, ours=ours) for _ in range(RUNS if size < LIGHT_MB else 1)]
            times = [run["ready"] for run in runs]
            seen = runs[-1] | ({"ready": statistics.median(times)} if all(isinstance(t, float) for t in times) else {})
            cells = [name, f"{size:.2f}", f"{drawn_s:.1f}", *(told(seen.get(key)) for key in ("ready", "pan", "zoom"))]
            lines.append(f"| {' | '.join(cells)} |")
            print(lines[-1], flush=True)
        browser.close()
    if options.write:
        sections.write(ROOT / "docs" / "performance.md", section(lines, load))
    return 0


if __name__ == "__main__":
    sys.exit(main())
