"""The options of every command that reads files of sites."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

PATH = click.Path(path_type=Path)
_OPTIONS = (
    click.option("--id", "id_column", metavar="COLUMN", help="项目编号列 / column of the site ids"),
    click.option("--layer", "table", metavar="NAME", help="图层，或压缩包里的文件 / which layer, or file of a zip"),
    click.option("--encoding", metavar="NAME", help="文字编码，默认由内容判断 / by default by the bytes"),
    click.option("--crs", metavar="EPSG:CODE", help="坐标系，优先于文件所注 / CRS; holds before what a file states"),
    click.option("--datum", type=click.Choice(["gcj02", "bd09"]), help="坐标带地图偏移 / offset of a map service"),
    click.option("--control-points", type=PATH, metavar="CSV", help="控制点 x,y,X,Y，至少三个 / at least three"),
    click.option("--transformation", metavar="TEXT", help="七参数或 PROJ 管线 / seven parameters or a pipeline"),
    click.option(
        "--transformation-accuracy",
        "transformation_accuracy_m",
        type=click.FloatRange(0),
        metavar="M",
        help="其精度（米，95%）/ how good it is, a 95 % bound in m",
    ),
    click.option("--max-mb", type=click.FloatRange(0), default=2_000, show_default=True, help="文件 / of a file"),
    click.option(
        "--max-features", type=click.IntRange(0), default=5_000_000, show_default=True, help="要素 / of a file"
    ),
    click.option(
        "--max-vertices", type=click.IntRange(1), default=500_000, show_default=True, help="顶点数 / vertices of a site"
    ),
    click.option("--max-seconds", type=click.FloatRange(0), default=600, show_default=True, help="每文件 / a file"),
)  # fmt: skip
_LIMITS = ("max_mb", "max_features", "max_vertices", "max_seconds")
_READING = (
    "id_column", "table", "encoding", "crs", "datum", "control_points", "transformation", "transformation_accuracy_m",
)  # fmt: skip


def reading(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of how files of sites are read."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def asked(options: dict[str, Any]) -> dict[str, Any]:
    """Take the options of reading out of a command's own, as `SiteFiles` wants them."""
    from geojw.intake.safety import Limits  # noqa: PLC0415 - a cold start loads what it needs

    limits = Limits(*(options.pop(name) for name in _LIMITS if name in options))
    return {"limits": limits} | {name: options.pop(name) for name in _READING if name in options}
