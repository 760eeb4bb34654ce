"""A wheel made from the files that git knows, installed elsewhere, runs the demo from any folder."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def run(*words: object, cwd: Path, **env: str) -> str:
    done = subprocess.run(
        [str(word) for word in words], cwd=cwd, env=os.environ | env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    work = tmp_path_factory.mktemp("wheel")
    source = work / "source"
    for name in run(
        "git", "ls-files", "geojw", "layers", "pyproject.toml", "README.md", "LICENSE", cwd=ROOT
    ).splitlines():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes((ROOT / name).read_bytes())
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet", "--no-deps")
    run(*pip, "--no-build-isolation", "--wheel-dir", work, source, cwd=work)
    (made,) = work.glob("geojw-*.whl")
    return made


def test_the_wheel_holds_what_it_needs(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for name in (
        "texts.toml",
        "intake/columns.toml",
        "maps/static/start.js",
        "maps/static/vendor/leaflet/LICENSE",
        "layers/gaoxin/forest.fgb",
        "layers/gaoxin/forest_raster.tif",
    ):
        assert f"geojw/{name}" in names
    assert not any(name.startswith(("tests", "scripts", "layers")) for name in names)


def test_the_demo_runs_from_the_wheel_in_an_empty_folder(wheel: Path, tmp_path: Path) -> None:
    site, here = tmp_path / "site", tmp_path / "here"
    here.mkdir()
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-deps")
    run(*pip, "--target", site, wheel, cwd=tmp_path)
    where = run(sys.executable, "-c", "import geojw; print(geojw.__file__)", cwd=here, PYTHONPATH=str(site)).strip()
    assert Path(where).is_relative_to(site)
    told = run(sys.executable, "-m", "geojw", "demo", "--lang", "en", cwd=here, PYTHONPATH=str(site))
    assert "screened 30" in told
    assert {path.name for path in (here / "geojw-demo").iterdir()} == {
        "verdicts.csv",
        "findings.csv",
        "overlaps.csv",
        "rejected.csv",
        "result.gpkg",
        "map.html",
        "passport.json",
    }
    assert [path.name for path in here.iterdir()] == ["geojw-demo"]
