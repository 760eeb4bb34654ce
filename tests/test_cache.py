"""What is kept on disk: the same results with and without it, whatever happens to its files."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import shapely
from click.testing import CliRunner

from geojw.cli import main
from geojw.measure import accuracy, cache, index, overlay, unions
from geojw.measure.cache import remembered
from geojw.measure.index import LayerIndex, Shapes

ANY = "0" * 64


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache that keeps everything, however fast it was made."""
    monkeypatch.setenv("GEOJW_CACHE", str(tmp_path / "kept"))
    monkeypatch.setattr(cache, "WORTH_S", 0.0)
    return tmp_path / "kept"


def entries(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.entry")) if folder.is_dir() else []


class Maker:
    """Makes arrays, and counts how often."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> cache.Arrays:
        self.calls += 1
        shapes = np.array([shapely.box(0, 0, 1, 1 / 3), shapely.Polygon(), shapely.Point(1e-300, -0.0)], dtype=object)
        return shapes, np.array([[1, 2], [3, 4]]), np.array([np.nan, 0.1]), np.zeros(0, dtype=object)


def assert_same(one: cache.Arrays, other: cache.Arrays) -> None:
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        alike = (shapely.to_wkb(a) == shapely.to_wkb(b)).all() if a.dtype == object else a.tobytes() == b.tobytes()
        assert alike


def test_no_test_touches_the_users_own() -> None:
    assert os.environ["GEOJW_CACHE"] == "off"
    assert cache.contents() == cache.Contents(None, 0, 0)


def test_the_same_made_and_read(folder: Path) -> None:
    make = Maker()
    made, read = (remembered("thing", ("a", 1), make) for _ in range(2))
    assert make.calls == 1
    assert_same(made, read)
    assert len(entries(folder)) == 1
    assert folder.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "other",
    [
        ("a", 2),
        ("a", 1.0),
        ("a", "1"),
        ("a1",),
        ("a", 1, None),
        ("a", True),
        (np.array([1, 0]),),
        (np.array([1.0, 0]),),
    ],
    ids=str,
)
@pytest.mark.usefixtures("folder")
def test_another_parameter_is_another_entry(other: tuple[object, ...]) -> None:
    make = Maker()
    remembered("thing", ("a", 1), make)
    remembered("thing", other, make)
    assert make.calls == 2
    remembered("things", ("a", 1), make)
    assert make.calls == 3


@pytest.mark.usefixtures("folder")
def test_other_code_or_other_libraries_are_another_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    make = Maker()
    remembered("thing", (), make)
    known = cache._code.__wrapped__()
    monkeypatch.setattr(shapely, "geos_version_string", "9.9.9")
    changed = cache._code.__wrapped__()
    assert known == cache._code() != changed
    monkeypatch.setattr(cache, "_code", lambda: changed)
    remembered("thing", (), make)
    assert make.calls == 2


def test_the_code_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A changed line anywhere in geojw, or geojw without its source, takes no old entry."""
    monkeypatch.setattr(cache, "__file__", str(tmp_path / "cache.py"))
    assert not cache._code.__wrapped__()
    (tmp_path / "pieces.py").write_text("MAX = 256")
    one = cache._code.__wrapped__()
    (tmp_path / "pieces.py").write_text("MAX = 255")
    assert one != cache._code.__wrapped__()


def flipped(at: int) -> Callable[[bytes], bytes]:
    return lambda content: content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


@pytest.mark.parametrize(
    "harm",
    [flipped(0), flipped(40), flipped(100), flipped(200), flipped(-40), lambda c: c[:-1], lambda c: c[:90],
     lambda _: b"", lambda c: c + b"x", lambda c: c.replace(b"thing-", b"think-")],
)  # fmt: skip
def test_a_harmed_entry_is_made_anew(
    folder: Path, harm: Callable[[bytes], bytes], caplog: pytest.LogCaptureFixture
) -> None:
    make = Maker()
    made = remembered("thing", (), make)
    (path,) = entries(folder)
    whole = path.read_bytes()
    path.write_bytes(harm(whole))
    assert path.read_bytes() != whole
    with caplog.at_level(logging.DEBUG, "geojw.measure.cache"):
        assert_same(remembered("thing", (), make), made)
    assert make.calls == 2
    assert [record.levelname for record in caplog.records] == ["DEBUG"]
    assert path.read_bytes() == whole
    remembered("thing", (), make)
    assert make.calls == 2


def test_an_entry_by_another_name_is_not_taken(folder: Path) -> None:
    make = Maker()
    remembered("thing", (1,), make)
    (one,) = entries(folder)
    remembered("thing", (2,), make)
    (other,) = set(entries(folder)) - {one}
    other.write_bytes(one.read_bytes())
    remembered("thing", (2,), make)
    assert make.calls == 3


def test_what_is_made_at_once_is_not_kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "WORTH_S", 3600.0)
    remembered("thing", (), Maker())
    assert entries(folder) == []


def test_what_fails_to_be_made_leaves_nothing(folder: Path) -> None:
    def fail() -> cache.Arrays:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        remembered("thing", (), fail)
    assert list(folder.iterdir()) == []


def test_the_size_is_bounded_and_the_oldest_use_goes_first(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def thousand(number: int) -> cache.Arrays:
        return remembered("thing", (number,), lambda: (np.full(125, float(number)),))

    thousand(0)
    size = entries(folder)[0].stat().st_size
    monkeypatch.setattr(cache, "MOST_BYTES", 3 * size)
    for number in (1, 2):
        thousand(number)
    for path, age in zip(entries(folder), (500, 400, 300), strict=True):
        os.utime(path, (time.time() - age,) * 2)
    oldest, second, third = entries(folder)
    numbers = {cache._name("thing", (number,)): number for number in range(3)}
    thousand(numbers[oldest.stem])  # used again
    thousand(3)
    assert set(entries(folder)) == {oldest, third, folder / f"{cache._name('thing', (3,))}.entry"}
    assert not second.exists()
    monkeypatch.setattr(cache, "MOST_BYTES", size - 1)
    thousand(4)
    assert not (folder / f"{cache._name('thing', (4,))}.entry").exists()


def test_what_a_killed_run_left_goes(folder: Path) -> None:
    folder.mkdir()
    old, new, foreign = (folder / name for name in (f"a-{ANY}.x1.part", f"a-{ANY}.x2.part", "mine.part"))
    for path in (old, new, foreign):
        path.write_text("half")
    for path in (old, foreign):
        os.utime(path, (time.time() - 2 * cache.LEFT_BEHIND_S,) * 2)
    remembered("thing", (), Maker())
    assert (old.exists(), new.exists(), foreign.exists()) == (False, True, True)


@pytest.mark.parametrize("kind", ["a file", "below a file", "anyone's"])
def test_where_nothing_can_be_kept_nothing_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    place = tmp_path / "kept"
    if kind == "anyone's":
        place.mkdir()
        place.chmod(0o777)
    else:
        place.write_text("a file")
    monkeypatch.setenv("GEOJW_CACHE", str(place / "deeper" if kind == "below a file" else place))
    monkeypatch.setattr(cache, "WORTH_S", 0.0)
    make = Maker()
    for _ in range(2):
        assert_same(remembered("thing", (), make), Maker()())
    assert make.calls == 2
    assert entries(place) == []


@pytest.mark.parametrize("moment", ["writing", "renaming"])
def test_a_full_disk_is_no_error(folder: Path, monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    if moment == "writing":
        monkeypatch.setattr(cache.tempfile, "NamedTemporaryFile", full)
    else:
        monkeypatch.setattr(Path, "replace", full)
    assert_same(remembered("thing", (), Maker()), Maker()())
    assert list(folder.iterdir()) == []


# ------------------------------------------------------------------------------ the parts of a layer


def layer(seed: int = 1) -> LayerIndex:
    """Overlapping circles of many vertices."""
    centres = np.random.default_rng(seed).uniform(0.0, 3000.0, (30, 2))
    shapes = shapely.buffer(shapely.points(centres), 400.0, quad_segs=100)
    return LayerIndex(gpd.GeoDataFrame(geometry=shapes, crs="EPSG:4544"), "polygon")


def sites() -> Shapes:
    corner = np.random.default_rng(2).uniform(0.0, 3000.0, (200, 2))
    return Shapes.of(np.asarray(shapely.box(*corner.T, *(corner + 60.0).T), dtype=object), many=True)


def measured(index_: LayerIndex) -> list[object]:
    """Everything that is remembered, and what comes of it."""
    some = index_.select(np.arange(len(index_)) % 3 > 0)
    shapes = sites()
    pairs = overlay.overlap_pairs(shapes, index_)
    union = unions.union_overlap(shapes, pairs, some)
    moved = [
        accuracy.moved_overlap(
            shapes, union, some, np.full(len(index_), 3.0), np.full(len(shapes), 1.0), 1.0, grown=how
        )
        for how in (True, False)
    ]
    numbers = (pairs.overlap, union, *moved, index_.owner, unions.components(index_))
    shapes_made = (index_.pieces, np.array([some.union]))
    return [part.tobytes() for part in numbers] + [shapely.to_wkb(made).tolist() for made in shapes_made]


def test_results_are_the_same_without_cold_and_warm(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("GEOJW_CACHE", "off")
        without = measured(layer())
    assert not folder.exists()
    assert measured(layer()) == without
    assert sorted(path.name.split("-")[0] for path in entries(folder)) == [
        "components",
        "moved",
        "moved",
        "pieces",
        "union",
    ]
    for module, name in (
        (index, "subdivide"),
        (unions, "_components"),
        (accuracy, "_moved_whole"),
        (shapely, "union_all"),
    ):
        monkeypatch.setattr(module, name, None)  # nothing is made again
    assert measured(layer()) == without


@pytest.mark.parametrize(
    ("module", "constant"),
    [(index, "MAX_VERTICES"), (accuracy, "ARC_SEGMENTS"), (accuracy, "PIECES_A_TILE")],
)
@pytest.mark.usefixtures("folder")
def test_another_constant_takes_no_old_entry(module: Any, constant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    measured(layer())
    monkeypatch.setattr(module, constant, getattr(module, constant) // 2)
    stale = measured(layer())
    monkeypatch.setenv("GEOJW_CACHE", "off")
    assert stale == measured(layer())


def test_another_feature_takes_no_old_entry(folder: Path) -> None:
    measured(layer())
    held = set(entries(folder))
    moved = layer()
    moved.geometries[7] = shapely.transform(moved.geometries[7], lambda xy: np.nextafter(xy, np.inf))
    measured(moved)
    assert len(set(entries(folder)) - held) == len(held)


@pytest.mark.parametrize("what", ["kept", "accuracy", "site's accuracy"])
@pytest.mark.usefixtures("folder")
def test_another_selection_or_accuracy_takes_no_old_entry(what: str) -> None:
    def grown(kept: object, theirs: float, own: float) -> list[bytes]:
        index_ = layer()
        grid = accuracy._moved_grid(index_.select(kept), np.full(len(index_), theirs), own, grown=True, workers=1)
        return [grid.edges.px.tobytes(), shapely.to_wkb(index_.select(kept).union)]

    one = np.arange(30) % 3 > 0
    before = (one, 3.0, 1.0)
    after = {"kept": (np.roll(one, 1), 3.0, 1.0), "accuracy": (one, 2.0, 1.0), "site's accuracy": (one, 3.0, 2.0)}[what]
    assert grown(*before)[0] != grown(*after)[0]
    assert (grown(*before)[1] != grown(*after)[1]) == (what == "kept")


def test_small_layers_are_not_looked_up(folder: Path) -> None:
    measured(LayerIndex(layer().features.iloc[:5], "polygon"))
    assert not folder.exists()


WORK = """
import sys
import numpy as np
from geojw.measure import cache
cache.WORTH_S = 0.0
for round_ in range(60):
    (found,) = cache.remembered("thing", (round_ % 6,), lambda: (np.full(20_000, float(round_ % 6)),))
    assert (found == round_ % 6).all() and len(found) == 20_000
    if round_ % 7 == 0:
        cache.clear()
"""


def test_several_processes_at_once(folder: Path) -> None:
    """Made, read, and cleared under each other's hands: never a wrong number, never an error."""
    environment = {**os.environ, "GEOJW_CACHE": str(folder)}
    runs = [subprocess.Popen([sys.executable, "-W", "error", "-c", WORK], env=environment) for _ in range(3)]
    assert [run.wait(60) for run in runs] == [0, 0, 0]
    assert not list(folder.glob("*.part"))


# ------------------------------------------------------------------------------ the command


def said(*words: str) -> str:
    done = CliRunner().invoke(main, ["cache", *words])
    assert done.exit_code == 0
    return done.output.replace("\n", "")


def test_the_command_shows_and_clears(folder: Path) -> None:
    assert said("--lang", "en") == (
        f"{folder}: 0 entries, 0.0 MB (at most 1,000 MB, what was not used for longest goes first)."
    )
    assert not folder.exists()  # looking makes nothing
    for number in range(2):
        remembered("thing", (number,), lambda: (np.zeros(62_500),))
    (folder / "notes.txt").write_text("mine")
    (folder / f"a-{ANY}.entry").mkdir()
    (folder / f"b-{ANY}.entry").symlink_to(folder / "notes.txt")
    assert said("--lang", "en").startswith(f"{folder}: 2 entries, 1.0 MB (")
    assert said() == f"{folder}：2 项，1.0 MB（上限 1,000 MB，最久未用的先删）。"
    assert said("--clear", "--lang", "en") == f"Cleared {folder}: 2 entries, 1.0 MB removed."
    assert sorted(path.name for path in folder.iterdir()) == sorted(("notes.txt", f"a-{ANY}.entry", f"b-{ANY}.entry"))
    assert said("--clear") == f"已清空 {folder}：删除 0 项，0.0 MB。"


def test_the_command_when_it_is_off() -> None:
    assert said("--lang", "en") == "The cache is turned off (GEOJW_CACHE=off)."
    assert said("--clear") == "缓存已关闭（GEOJW_CACHE=off）。"


def test_the_place_is_the_users_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("GEOJW_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    place = cache.contents().folder
    assert place is not None
    assert place.name == "geojw"
    assert sys.platform != "linux" or place == tmp_path / "geojw"


MEASURED = """
from geojw.measure import exact, grid
print(grid.step_over(0.0, 0.0, 2.0, 0.0, 1.0, -1.0, 1.0, 1.0) != 0, exact._KEPT)
"""
"""A function that asks another file's, and where its machine code is kept."""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """geojw's source alone, somewhere else."""
    source, copy = Path(cache.__file__).parents[1], tmp_path / "checkout" / "geojw"
    ignore = shutil.ignore_patterns("__pycache__", "data", "static")
    shutil.copytree(source, copy, ignore=ignore)
    return copy.parent


def run_in(checkout: Path, kept: str) -> tuple[bool, str]:
    """Say what a new process gets from the source as it is, and where it kept the machine code."""
    env = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
    env |= {"GEOJW_CACHE": kept, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(checkout)}
    done = subprocess.run(
        [sys.executable, "-c", MEASURED], env=env, cwd=checkout, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    crosses, where = done.stdout.split(maxsplit=1)
    return crosses == "True", where.strip()


def compiled_in(folder: Path) -> int:
    return len(list(folder.rglob("*.nbc")))


def test_compiled_code_is_made_anew_when_another_file_changes(checkout: Path) -> None:
    """A change in `exact` reaches what was compiled of `grid`, whose own file stays as it was."""
    beside = checkout / "geojw" / "measure" / "__pycache__"
    crosses, first = run_in(checkout, "off")
    assert crosses
    assert (again := run_in(checkout, "off")) == (True, first), again
    assert Path(first).parent == beside
    assert compiled_in(Path(first)) > 1
    changed = checkout / "geojw" / "measure" / "exact.py"
    source = changed.read_text()
    changed.write_text(source.replace("    sign = side(px, py, qx, qy, ux, uy)\n", "    sign = 1.0\n"))
    assert changed.read_text() != source
    crosses, second = run_in(checkout, "off")
    assert not crosses
    assert [one.name for one in beside.iterdir()] == [Path(second).name]


def test_compiled_code_where_nobody_may_write_beside_the_modules(checkout: Path, folder: Path) -> None:
    (checkout / "geojw" / "measure" / "__pycache__").touch()  # a file: no folder can be made there
    assert run_in(checkout, "off") == (True, "None")
    crosses, where = run_in(checkout, str(folder))
    assert crosses
    assert Path(where).parent == folder
    assert compiled_in(Path(where)) > 1
    held = cache.contents()
    assert (held.entries, held.size_bytes > 1000) == (1, True)
    assert cache.clear() == held
    assert not list(folder.iterdir())


def test_old_compiled_code_goes_as_entries_do(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mkdir(mode=0o700)
    old, new, other = (
        folder / name for name in ("geojw-code-" + "0" * 16, "geojw-code-" + "1" * 16, "geojw-code-mine")
    )
    for number, one in enumerate((other, old, new)):
        one.mkdir()
        (one / "code.nbc").write_bytes(bytes(5000))
        os.utime(one, (number + 1, number + 1))
    monkeypatch.setattr(cache, "MOST_BYTES", 10_000)
    remembered("thing", (), Maker())
    assert sorted(path.name for path in folder.iterdir() if path.is_dir()) == [new.name, other.name]
