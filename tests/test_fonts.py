"""A figure's letters: which font sets them, what is written where none can, and what to do where there is none."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from matplotlib import font_manager, rcParams
from matplotlib.figure import Figure

from geojw.errors import FontError
from geojw.figures import fonts
from geojw.texts import catalogue


@pytest.fixture
def fresh() -> Iterator[None]:
    """Find the font anew, and forget it after."""
    fonts._found.cache_clear()
    yield
    fonts._found.cache_clear()


def hide_package(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(fonts, "PACKAGE", ("no_such_package", "none.otf"))


def hide_system(patch: pytest.MonkeyPatch) -> None:
    plain = [entry for entry in font_manager.fontManager.ttflist if "DejaVu" in entry.name]
    patch.setattr(font_manager.fontManager, "ttflist", plain)
    patch.setattr(font_manager, "findSystemFonts", list)


def test_the_typeface_has_every_letter_of_our_own_texts() -> None:
    letters = {char for words in catalogue().values() for char in words["zh"] if ord(char) > 0x2E7F}
    assert len(letters) > 300
    assert {*map(ord, letters)} <= fonts.chinese_typeface().letters


@pytest.mark.usefixtures("fresh")
def test_the_package_comes_before_the_system() -> None:
    face = fonts.chinese_typeface()
    assert face.path.parts[-2:] == fonts.PACKAGE
    assert face.name == "Noto Sans SC"


@pytest.mark.usefixtures("fresh")
def test_without_a_font_the_error_names_the_remedies(monkeypatch: pytest.MonkeyPatch) -> None:
    hide_package(monkeypatch)
    hide_system(monkeypatch)
    with pytest.raises(FontError) as told:
        fonts.chinese_typeface()
    for lang in ("zh", "en"):
        text = told.value.text(lang)
        assert "geojw[fonts]" in text
        assert "fonts-noto-cjk" in text
        assert "GEOJW_FONT" in text


@pytest.mark.usefixtures("fresh")
def test_a_font_that_came_after_matplotlib_made_its_list_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(fonts.chinese_typeface().path)
    fonts._found.cache_clear()
    hide_package(monkeypatch)
    hide_system(monkeypatch)
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: [path])
    assert str(fonts.chinese_typeface().path) == path


def test_a_font_that_the_user_names_is_taken_or_refused_never_passed_over(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = fonts.chinese_typeface().path
    monkeypatch.setenv("GEOJW_FONT", str(path))
    assert fonts.chinese_typeface().path == path
    for wrong in (fonts._rest().path, tmp_path / "none.ttf", tmp_path, Path(__file__)):
        monkeypatch.setenv("GEOJW_FONT", str(wrong))
        with pytest.raises(FontError, match="GEOJW_FONT"):
            fonts.chinese_typeface()


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("重庆高新区 m²", "重庆高新区 m²"),
        ("a\u202eb\u200bc", "a[U+202E]b[U+200B]c"),
        ("\x1b[31m\x00", "[U+001B][31m[U+0000]"),
        ("one\ntwo", "one\ntwo"),
        ("\ud800", "[U+D800]"),
        ("\U0010fffd", "[U+10FFFD]"),
        ("$x^2$ <b>", "$x^2$ <b>"),
    ],
)
def test_what_cannot_be_seen_is_spelled_out(text: str, written: str) -> None:
    assert fonts.spelled(text) == written


def test_every_letter_that_is_spelled_can_be_set() -> None:
    """A missing glyph is a warning of matplotlib, and a warning is an error here."""
    every = "".join(map(chr, (*range(0x20, 0x2FF), *range(0x4E00, 0x4E80), *range(0x1F600, 0x1F640))))
    with fonts.typesetting():
        figure = Figure((2, 1))
        figure.text(0, 0, fonts.spelled(every))
        figure.text(0, 0.5, fonts.spelled("$x^{2$"))
        figure.canvas.draw()


def test_matplotlib_is_loaded_only_when_a_font_is_asked_for() -> None:
    code = "import sys, geojw.figures.fonts, geojw.cli; sys.exit(any(m.startswith('matplotlib') for m in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_users_own_settings_of_matplotlib_change_nothing_and_come_back() -> None:
    with fonts.typesetting():
        before = dict(rcParams)
    changed = rcParams["lines.linewidth"] = 17.0
    try:
        with fonts.typesetting():
            assert dict(rcParams) == before
        assert rcParams["lines.linewidth"] == changed
    finally:
        rcParams["lines.linewidth"] = before["lines.linewidth"]


def test_another_typeface_later_in_the_same_process_is_another(monkeypatch: pytest.MonkeyPatch) -> None:
    def families() -> list[str]:
        with fonts.typesetting():
            return list(rcParams["font.family"])

    first = families()
    with monkeypatch.context() as patch:
        patch.setattr(fonts, "chinese_typeface", fonts._rest)
        assert families() != first
    assert families() == first
    assert font_manager.findfont(font_manager.FontProperties(family=first[:1])).path == str(
        fonts.chinese_typeface().path.resolve()
    )
