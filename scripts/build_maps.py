"""
Build the maps of the embedded zone into maps/: the public's, the departments', and the page that links them.

    scripts/maps [--out DIR]

Drafts of synthetic data: 未经审图·合成数据·不得公开发布. The same zone gives the same bytes; a test builds them anew.
"""

from __future__ import annotations

import argparse
import html
import sys
from datetime import date
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from geojw.intake.site_files import SiteFiles  # noqa: E402 - the checkout that holds this script is what is built
from geojw.maps.editions import Asked  # noqa: E402
from geojw.maps.publish import publish  # noqa: E402
from geojw.texts import say  # noqa: E402
from geojw.zone import Zone, open_zone  # noqa: E402

DAY = date(2026, 11, 22)
"""The day whose rules count: fixed, so that two builds are the same."""

PAGE = """<!DOCTYPE html>
<html lang="zh-CN">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'sha256-{style_hash}'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main>
<h1>{title}</h1>
<p class="mark">{mark}</p>
<p>{intro}</p>
<ul>
{links}
</ul>
<table><caption>{caption}</caption>
<thead><tr><th scope="col">{layer}</th><th scope="col">{dates}</th>
<th scope="col">{licence}</th><th scope="col">{status}</th></tr></thead>
<tbody>
{rows}
</tbody></table>
</main>
</body>
</html>
"""
STYLE = (
    "body{margin:0;background:#fff;color:#1a1a1a;"
    'font:16px/1.6 "PingFang SC","Microsoft YaHei","Noto Sans CJK SC",sans-serif}'
    "main{max-width:56rem;margin:0 auto;padding:1rem}h1{font-size:1.4rem}a{color:#0b4f8a}li{margin:.5rem 0}"
    ".mark{padding:.5rem .8rem;background:#ffe08a;color:#5b1010;font-weight:700;font-size:1.2rem}"
    "table{width:100%;border-collapse:collapse;font-size:14px}caption{text-align:left;font-weight:700;padding:.4rem 0}"
    "th,td{text-align:left;padding:.25rem .5rem .25rem 0;border-bottom:1px solid #ddd;overflow-wrap:anywhere}"
)


def main() -> int:
    """Build all of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "maps")
    build(parser.parse_args().out)
    return 0


def build(out: Path) -> None:
    """Write the pages into a folder."""
    zone = open_zone("gaoxin")
    publish(zone, Asked(DAY, "public", draft=True), out)
    publish(zone, Asked(DAY, "department", draft=True), out, SiteFiles(zone.sample_sites))
    (out / "index.html").write_text(index(zone), "utf-8", newline="\n")


def index(zone: Zone) -> str:
    """Give the page that links them, with the dates of the data."""
    import base64  # noqa: PLC0415
    import hashlib  # noqa: PLC0415

    def text(key: str, **fields: object) -> str:
        return html.escape(say(f"maps.{key}", "zh", **fields))

    links = [
        f'<li><a href="map-{name}.html">{html.escape(say(f"map.audience.{name}", "zh"))}</a>：{text(name)}</li>'
        for name in ("public", "department")
    ]
    rows = [
        f'<tr><th scope="row">{html.escape(row.title.zh)}</th><td>{row.source.date}</td>'
        f"<td>{html.escape(row.source.licence)}</td><td>{html.escape(say(f'status.{row.status}', 'zh'))}</td></tr>"
        for row in zone.pack.layers.values()
        if row.audience != "internal"
    ]
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    words = {key: text(key) for key in ("intro", "caption", "layer", "dates", "licence", "status")}
    return PAGE.format(
        title=text("title", zone=zone.pack.zone.title.zh), mark=html.escape(say("map.mark_synthetic", "zh")),
        links="\n".join(links), rows="\n".join(rows), style=STYLE, style_hash=digest, **words,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
