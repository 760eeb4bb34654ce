"""The command line. Arguments in, tables and exit codes out; no decisions."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable
from datetime import date
from functools import wraps
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from geojw.errors import Fault, GeojwError, OutputError, PackError, SitesError
from geojw.law.effects import EFFECTS
from geojw.options import PATH, asked, reading
from geojw.process import settle
from geojw.terminal import LINE, print_heading, print_inspection, print_summary, progress
from geojw.terminal import console as _console
from geojw.terminal import shown as _shown
from geojw.texts import LANGS, say

UNUSABLE, FAILED_ON, LAYER_FAILED, ROWS_REJECTED, DONE = 3, 10, 4, 1, 0

_lang = click.option(
    "--lang",
    type=click.Choice(LANGS),
    default="zh",
    show_default=True,
    help="界面语言 / language of the output",
)
_zone = click.option(
    "--zone",
    default="gaoxin",
    show_default=True,
    help="内置片区名或资料包文件夹 / embedded zone or folder of a pack",
)
_quiet = click.option("--quiet", "-q", is_flag=True, help="只写文件，不打印 / write files, print nothing")

_no_map = click.option("--no-map", is_flag=True, help="不生成 map.html / no map.html")


def _day(_: click.Context, __: click.Parameter, value: str | None) -> date | None:
    if value is None:
        return None
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise click.BadParameter(say("fault.bad_date", "zh") + " / " + say("fault.bad_date", "en")) from None


_on = click.option(
    "--on",
    "on",
    callback=_day,
    metavar="DATE",
    help="判定日，默认今天（北京时间）/ the day whose rules count; today in China",
)


def _out(default: str) -> Callable[[Any], Any]:
    return click.option(
        "--out",
        type=click.Path(path_type=Path),
        default=default,
        show_default=True,
        help="结果文件夹 / folder of the results",
    )


def _told(command: Callable[..., int]) -> Callable[..., None]:
    """Turn errors raised on purpose into sentences and exit codes: no traceback for a user's mistake."""

    @wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - click's own
        console = _console(stderr=True, soft_wrap=True)
        lang = kwargs["lang"]
        try:
            code = command(*args, **kwargs)
        except GeojwError as error:
            console.print(
                Text(
                    say("run.error", lang) + "：" if lang == "zh" else say("run.error", lang) + ":",
                    "bold red",
                )
            )
            for fault in error.faults:
                console.print(Text("  " + _shown(fault.text(lang), LINE)))
            code = UNUSABLE
        except KeyboardInterrupt:
            console.print(say("run.interrupted", lang))
            if kwargs.get("resume"):
                console.print(say("run.kept", lang))
            code = 130
        sys.exit(code)

    return wrapped


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="geojw")
def main() -> None:
    """
    项目选址生态环境准入判定 / may this project be built here?

    \b
    geojw demo              内置示范片区全流程 / the whole tour
    geojw screen 项目.shp    判定项目 / screen your sites
    geojw intake 项目.shp    查看文件 / what is this file?
    geojw targets           规划指标 / where the zone stands against the plan
    geojw compare 旧 新      两个版本的差别 / what differs between two versions
    geojw check             检查资料包 / check a zone pack
    """  # noqa: D301, D400 - click's mark for lines kept as they are
    settle()


@main.command()
@click.argument("sites", nargs=-1, required=True, type=click.Path(path_type=Path))
@_zone
@_on
@_out("out")
@reading
@click.option("--format", "kind", type=click.Choice(["csv", "parquet"]), default="csv", show_default=True)
@click.option(
    "--fail-on",
    type=click.Choice(EFFECTS[1:]),
    help="可能达到此程度即退出码 10 / exit 10 if a site may be that strict",
)
@click.option(
    "--map-limit",
    type=click.IntRange(0, 100_000),
    default=20_000,
    show_default=True,
    help="超过则不制图 / no map above",
)
@_no_map
@click.option("--all-geometry", is_flag=True, help="输出全部图形 / write the geometry of clear sites too")
@click.option("--workers", type=click.IntRange(1), help="线程数 / threads; changes no result")
@click.option("--batch", type=click.IntRange(1), default=20_000, show_default=True, help="每批项目数 / sites at a time")
@click.option(
    "--engine",
    type=click.Choice(["local", "dask"]),
    default="local",
    show_default=True,
    help="在本机或 Dask 集群上计算（Parquet，无图）/ here, or on a Dask cluster (Parquet, no map)",
)
@click.option("--scheduler", metavar="ADDRESS", help="Dask 调度器地址 / address of the scheduler, like tcp://host:8786")
@click.option("--resume", is_flag=True, help="续做中断的判定 / go on with an interrupted run")
@_lang
@_quiet
@_told
def screen(sites: tuple[Path, ...], **options: Any) -> int:  # noqa: ANN401 - click's own
    """判定项目能否选址 / screen project sites against the access list."""
    return _screen(sites, **options)


@main.command()
@_out("geojw-demo")
@_on
@_lang
@_quiet
@_told
def demo(out: Path, on: date | None, lang: str, *, quiet: bool) -> int:
    """内置示范片区与样例项目 / the embedded zone and its sample sites."""
    from geojw.zone import open_zone  # noqa: PLC0415 - a cold start loads what it needs

    return _screen(
        (open_zone("gaoxin").sample_sites,), zone="gaoxin", on=on, out=out, lang=lang, quiet=quiet, fail_on=None,
        as_demo=True,
    )  # fmt: skip


def _screen(
    sites: tuple[Path, ...],
    *,
    zone: str,
    on: date | None,
    out: Path,
    lang: str,
    quiet: bool,
    fail_on: str | None,
    kind: str = "csv",
    as_demo: bool = False,
    no_map: bool = False,
    engine: str = "local",
    scheduler: str | None = None,
    **options: Any,  # noqa: ANN401 - handed on
) -> int:
    no_map, kind = (True, _parquet(kind)) if engine == "dask" else (no_map, kind)
    from geojw.intake.quarantine import shared_reader  # noqa: PLC0415 - a cold start loads what it needs

    reader = shared_reader()  # it loads while we do
    from geojw.runs.ahead import Ahead, uncollected  # noqa: PLC0415

    said = asked(options)
    ahead = Ahead(options.get("batch") if no_map else None)
    ahead.begin(reader, sites, **said)
    with uncollected():  # what is loaded stays, and looking through it takes a tenth of the time
        from geojw.runs.run import Options, run  # noqa: PLC0415
        from geojw.zone import open_zone, today  # noqa: PLC0415

        day = on or today()

        def opened() -> Any:  # noqa: ANN401 - zone.Zone
            place = open_zone(zone)
            ahead.opened(place, day)
            return place

        place, files = _both_or_all_faults(opened, lambda place: _files(sites, place, **said))
    wanted = Options(day=day, out=out, lang=lang, format=kind, with_map=not no_map, **options)  # type: ignore[arg-type]
    console = _console(quiet=quiet)
    with progress(lang, quiet=quiet) as tell:
        if engine == "dask":
            from geojw.runs import cluster  # noqa: PLC0415 - an extra

            summary = cluster.run(files, place, wanted, tell, scheduler)
        else:
            summary = run(files, place, wanted, tell)
    print_summary(console, summary, lang)
    console.print(Text(say("run.written", lang, out=out), "bold"))
    if fail_on is not None and (count := summary.not_below(fail_on)):
        console.print(Text(say("run.fail_on", lang, count=count, effect=say(f"verdict.{fail_on}", lang)), "bold red"))
        return FAILED_ON
    if summary.failed and not as_demo:
        return LAYER_FAILED
    return ROWS_REJECTED if summary.read > summary.screened else DONE


def _files(sites: tuple[Path, ...], place: Any, **said: Any) -> Any:  # noqa: ANN401 - zone.Zone, intake.SiteFiles
    """Open files of sites, their columns and coordinates taken as the zone has them, if there is one."""
    from geojw.intake.site_files import SiteFiles  # noqa: PLC0415
    from geojw.runs.inspection import extent_of  # noqa: PLC0415 - a cold start loads what it needs

    own = {} if place is None else {"columns": place.pack.zone.columns, "extent": extent_of(place)}
    return SiteFiles(*sites, **said, **own)


def _parquet(kind: str) -> str:
    """Give the only format of a cluster, unless another was asked for."""
    source = click.get_current_context().get_parameter_source("kind")
    if kind != "parquet" and source is click.core.ParameterSource.COMMANDLINE:
        raise click.UsageError(say("fault.cluster_csv", "zh") + " / " + say("fault.cluster_csv", "en"))
    return "parquet"


def _both_or_all_faults(first: Callable[[], Any], second: Callable[[Any], Any]) -> tuple[Any, Any]:
    """Open the zone and then the sites, and report the faults of both at once."""
    faults: list[Fault] = []
    out: list[Any] = [None, None]
    try:
        out[0] = first()
    except PackError as error:
        faults += error.faults
    try:
        out[1] = second(out[0])
    except SitesError as error:
        faults += error.faults
    if faults:
        raise PackError(faults)
    return out[0], out[1]


def _figure_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of figures, which are drawn instead of the page."""
    for option in (
        click.option(
            "--png", "formats", flag_value="png", multiple=True, help="图片，代替网页 / a figure, not the page"
        ),
        click.option("--svg", "formats", flag_value="svg", multiple=True, help="矢量图 / the same as SVG"),
        click.option("--pdf", "formats", flag_value="pdf", multiple=True, help="PDF / the same as PDF"),
        click.option("--size", default="A4", show_default=True, help="图幅 / its sheet: A5-A2, 160x120 (mm)"),
        click.option("--landscape", "turn", flag_value="landscape", help="横幅 / turned sideways"),
        click.option("--portrait", "turn", flag_value="portrait", help="竖幅 / upright; else as suits the zone"),
        click.option(
            "--dpi", type=click.IntRange(36, 1200), default=300, show_default=True, help="分辨率 / pixels an inch"
        ),
    )[::-1]:
        command = option(command)
    return command


@main.command(name="map")
@_zone
@click.option(
    "--audience",
    type=click.Choice(["internal", "department", "public"]),
    default="internal",
    show_default=True,
    help="给谁看 / who will see it",
)
@_out("geojw-map")
@click.option("--review-number", "review", metavar="审图号", help="公开地图必须有 / required of a public map")
@click.option("--draft", is_flag=True, help="无审图号的草稿，印“未经审图” / a draft without a number, marked as one")
@click.option("--sites", type=click.Path(path_type=Path), help="图上的项目 / sites to show with their verdicts")
@click.option("--split", is_flag=True, help="脚本与样式另存 assets 文件夹 / scripts and styles in a folder assets")
@click.option("--tianditu", is_flag=True, help="天地图，密钥取自 GEOJW_TIANDITU_KEY / Tianditu, key from that variable")
@click.option("--gaode", is_flag=True, help="高德底图，瓦片纠偏 / Gaode tiles, shifted to where they belong")
@_figure_options
@_on
@_lang
@_told
def draw_map(zone: str, on: date | None, out: Path, **options: Any) -> int:  # noqa: ANN401 - click's own
    """片区地图：内部、部门、公众三种；网页或图片 / the map of a zone for an audience: a page or figures."""
    from geojw.maps.editions import Asked  # noqa: PLC0415 - a cold start loads what it needs
    from geojw.maps.publish import publish  # noqa: PLC0415
    from geojw.zone import open_zone, today  # noqa: PLC0415

    console = _console(soft_wrap=True)
    wanted = {key: options.pop(key) for key in ("formats", "size", "turn", "dpi")}
    path = options.pop("sites")
    asked = Asked(day=on or today(), **(options | {"tianditu": _tianditu_key() if options["tianditu"] else None}))
    asked.check()
    if asked.tianditu:
        console.print(Text(say("run.key_in_page", asked.lang), "yellow3"))
    place, files = _both_or_all_faults(
        lambda: open_zone(zone), lambda place: None if path is None else _files((path,), place)
    )
    if wanted["formats"]:
        from geojw.figures.plates import Print, print_plates  # noqa: PLC0415 - matplotlib is loaded only for figures

        written = print_plates(place, asked, Print(**wanted), out, files)
    else:
        written = [publish(place, asked, out, files)]
    for one in written:
        console.print(Text(say("run.written", asked.lang, out=one), "bold"))
    return DONE


def _tianditu_key() -> str:
    key = os.environ.get("GEOJW_TIANDITU_KEY", "")
    if not re.fullmatch(r"[0-9a-zA-Z]{8,64}", key):
        raise OutputError([Fault("tianditu_key", "GEOJW_TIANDITU_KEY")])
    return key


@main.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@_zone
@reading
@click.option("--json", "as_json", is_flag=True, help="供程序读取 / for machines")
@click.option("--write", type=PATH, metavar="GPKG", help="写出整理后的文件和改动记录 / the cleaned file with a log")
@_lang
@_told
def intake(files: tuple[Path, ...], zone: str, lang: str, *, as_json: bool, write: Path | None, **options: Any) -> int:  # noqa: ANN401 - click's own
    """这是什么文件、可否信任、会读到什么 / what a file of sites is, and what of it would be read."""
    from geojw.intake.quarantine import shared_reader  # noqa: PLC0415 - a cold start loads what it needs

    shared_reader()  # it loads while we do
    from geojw.runs import inspection  # noqa: PLC0415
    from geojw.zone import open_zone  # noqa: PLC0415

    place, said = open_zone(zone), asked(options)
    found = [inspection.inspect(path, place, lang, **said) for path in files]
    console = _console(soft_wrap=as_json)
    if as_json:
        click.echo(json.dumps([one.as_json(lang) for one in found], ensure_ascii=False, indent=1))
    else:
        for one in found:
            print_inspection(console, one, lang)
    unusable = any(one.refused for one in found)
    if write is not None and not unusable:
        inspection.write(files, place, write, lang, **said)
        if not as_json:
            console.print(Text(say("intake.written", lang, path=write.name), "bold"))
    return UNUSABLE if unusable else (ROWS_REJECTED if any(one.rejected_count for one in found) else DONE)


@main.command()
@_zone
@_on
@_out("targets")
@_no_map
@_lang
@_quiet
@_told
def targets(zone: str, on: date | None, out: Path, lang: str, *, quiet: bool, no_map: bool) -> int:
    """规划指标：数值、目标值、余量、结论 / where the zone stands against the plan."""
    from geojw.runs import target_tables  # noqa: PLC0415 - a cold start loads what it needs
    from geojw.runs.target_run import run_targets  # noqa: PLC0415
    from geojw.zone import open_zone, today  # noqa: PLC0415

    console = _console(quiet=quiet)
    summary = run_targets(open_zone(zone), day=on or today(), out=out, lang=lang, with_map=not no_map)
    print_heading(console, summary.title, summary.notices())
    target_tables.show_targets(console, summary.evaluation.targets, lang)
    for lack in (summary.no_chart, summary.no_map):
        if lack is not None:
            console.print(Text(_shown(lack, LINE), "bold red"))
    console.print(Text(say("run.written", lang, out=out), "bold"))
    return LAYER_FAILED if summary.evaluation.failed else DONE


@main.command()
@click.argument("old")
@click.argument("new")
@click.option(
    "--sites", type=click.Path(path_type=Path), help="同时比较这些项目的结论 / screen these sites against both"
)
@click.option("--layer", metavar="NAME", help="OLD、NEW 是该图层的两个文件 / OLD and NEW are files of this layer")
@_zone
@_on
@_out("comparison")
@_no_map
@_lang
@_quiet
@_told
def compare(
    old: str, new: str, sites: Path | None, layer: str | None, zone: str, on: date | None, out: Path, lang: str,
    *, quiet: bool, no_map: bool,
) -> int:  # fmt: skip
    """比较两个资料包或一个图层的两个版本 / compare two zone packs, or two versions of a layer."""
    from geojw.intake.site_files import read_sites  # noqa: PLC0415
    from geojw.runs import target_tables  # noqa: PLC0415
    from geojw.runs.comparison import versions_of  # noqa: PLC0415 - a cold start loads what it needs
    from geojw.runs.comparison_run import run_comparison  # noqa: PLC0415
    from geojw.zone import today  # noqa: PLC0415

    versions, read = _both_or_all_faults(
        lambda: versions_of(old, new, zone, layer),
        lambda two: None if sites is None else read_sites(sites, columns=two[1].pack.zone.columns if two else {}),
    )
    summary = run_comparison(*versions, day=on or today(), out=out, lang=lang, sites=read, with_map=not no_map)
    console = _console(quiet=quiet)
    print_heading(console, summary.title, summary.notices())
    target_tables.show_comparison(console, summary.found, lang)
    if summary.no_map is not None:
        console.print(Text(_shown(summary.no_map, LINE), "bold red"))
    console.print(Text(say("run.written", lang, out=out), "bold"))
    if summary.found.failed:
        return LAYER_FAILED
    return ROWS_REJECTED if len(summary.found.rejected) else DONE


@main.command()
@_zone
@_lang
@_told
def check(zone: str, lang: str) -> int:
    """检查资料包，一次报告全部问题 / report every fault of a zone pack at once."""
    from geojw.zone import open_zone, today  # noqa: PLC0415 - a cold start loads what it needs

    console = _console(soft_wrap=True)
    opened = open_zone(zone)
    stopping, repairs = opened.faults()
    for title, faults in (("check.layers", stopping), ("check.repairs", repairs)):
        if faults:
            console.print(Text(say(title, lang), "bold"))
            for fault in faults:
                console.print(Text("  " + _shown(fault.text(lang), LINE)))
    _print_idle(console, opened, today(), lang)
    pack = opened.pack
    console.print(
        say("check.good", lang, zone=pack.zone.title.in_(lang), layers=len(pack.layers), rules=len(pack.rules),
            active=len(pack.in_force(today())), targets=len(pack.targets))
    )  # fmt: skip
    return LAYER_FAILED if stopping else DONE


def _print_idle(console: Console, opened: Any, day: date, lang: str) -> None:  # noqa: ANN401 - zone.Zone, loaded late
    idle = [rule for rule in opened.pack.rules if not (rule.enabled and rule.in_force.on(day))]
    if idle:
        console.print(Text(say("check.idle", lang), "bold"))
    for rule in idle:
        if not rule.enabled:
            reason = rule.reason if isinstance(rule.reason, str) or rule.reason is None else rule.reason.in_(lang)
            why = say("check.disabled", lang, reason=reason)
        elif day < rule.in_force.start:
            why = say("check.not_yet", lang, day=rule.in_force.start)
        else:
            why = say("check.expired", lang, day=rule.in_force.until)
        console.print(Text(f"  {rule.id}  {rule.says.in_(lang)} — {why}"))


@main.command("cache")
@click.option("--clear", "clearing", is_flag=True, help="清空 / empty it")
@_lang
@_told
def cache_command(*, clearing: bool, lang: str) -> int:
    """查看或清空磁盘缓存 / show or empty what is kept on disk between runs."""
    from geojw.measure.cache import MOST_BYTES, clear, contents  # noqa: PLC0415 - a cold start loads what it needs

    held = clear() if clearing else contents()
    key = "off" if held.folder is None else "cleared" if clearing else "holds"
    size, most = f"{held.size_bytes / 1e6:,.1f}", f"{MOST_BYTES / 1e6:,.0f}"
    told = say(f"cache.{key}", lang, folder=held.folder, entries=f"{held.entries:,}", size=size, most=most)
    _console(soft_wrap=True).print(told)
    return DONE
