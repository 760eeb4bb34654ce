"""A typeface with Chinese letters for what matplotlib draws; matplotlib is loaded only when it is needed."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from geojw.errors import Fault, FontError
from geojw.texts import catalogue

if TYPE_CHECKING:
    from fontTools.ttLib import TTFont
    from matplotlib.font_manager import FontEntry
    from matplotlib.ft2font import FT2Font
    from matplotlib.text import Text

VARIABLE = "GEOJW_FONT"
"""Environment variable that names a font file; it comes before all others."""
PACKAGE = ("pylopdf_fonts_zh_cn", "NotoSansSC-Regular.otf")
"""Package of the extra ``fonts`` and its file (Noto Sans SC, SIL Open Font License 1.1)."""
PREFERRED = (
    *("Noto Sans SC", "Noto Sans CJK SC", "Source Han Sans SC", "Source Han Sans CN"),
    *("Microsoft YaHei", "PingFang SC", "Hiragino Sans GB", "DengXian", "WenQuanYi Micro Hei", "SimHei"),
    *("WenQuanYi Zen Hei", "STHeiti", "Heiti SC", "Noto Serif CJK SC", "Source Han Serif SC", "SimSun", "STSong"),
)
"""Families of the system in the order of trying: those drawn for simplified Chinese, upright ones first."""
REGULAR = 400

MM_A_POINT = 25.4 / 72.0

_TOKEN = re.compile(
    r"[（《“‘「『【〔]*(?:[^\s\u2e80-\uffef（《“‘]+|\S)[，。、；：）》”’」』】〕！？…·％]*\s*"
)  # a word, or one Chinese letter, with the signs that belong to it
_NUMBERS = count(1)
_MAXP = (
    *("maxZones", "maxTwilightPoints", "maxStorage", "maxFunctionDefs", "maxInstructionDefs", "maxStackElements"),
    *("maxSizeOfInstructions", "maxComponentElements", "maxPoints", "maxContours", "maxCompositePoints"),
    *("maxCompositeContours", "maxComponentDepth"),
)
"""What the table of a TrueType font's limits has and that of a CFF font lacks; the counts are made on writing."""
_MIN_CODE = 0x2E80
"""First code of East Asian letters."""


@dataclass(frozen=True, eq=False)
class Typeface:
    """
    A font that has every letter of geojw's own Chinese texts.

    Parameters
    ----------
    name
        Its family, as its maker names it.
    path, index
        The file, and the number of the face in it (a collection has several).
    letters
        Codes of all letters that it has.
    truetype
        Whether its outlines are TrueType's (else PostScript's, CFF).
    faces
        How many faces the file has.
    """

    name: str
    path: Path
    index: int
    letters: frozenset[int]
    truetype: bool
    faces: int


def chinese_typeface() -> Typeface:
    """
    Find the typeface for figures; the same machine always gives the same one.

    The file that the environment variable ``GEOJW_FONT`` names; else Noto Sans SC of the extra ``geojw[fonts]``; else
    the first of the system's that is fit.

    Returns
    -------
    Typeface
        With every letter of geojw's own texts.

    Raises
    ------
    FontError
        There is none; the fault says how to get one.
    """
    named = os.environ.get(VARIABLE)
    return _named(named) if named else _found()


@contextmanager
def typesetting() -> Iterator[Typeface]:
    """
    Let matplotlib set all text within in the Chinese typeface, as it is written (no ``$x^2$``), the same on each run.

    In SVG the letters are outlines: a document that holds the figure looks the same where the font is missing, and no
    word processor sets it anew with another. In PDF they are text that can be searched and copied, the font embedded:
    see `embeddable`.

    Yields
    ------
    Typeface
        The one in use.

    Raises
    ------
    FontError
        There is none.
    """
    import matplotlib as mpl  # noqa: PLC0415 - heavy, and loaded only where something is drawn

    face = chinese_typeface()
    settings: dict[Any, object] = {
        "font.family": [_family(face), _family(_rest())],
        "text.parse_math": False,
        "text.usetex": False,
        "text.hinting": "no_hinting",  # letters as wide in pixels as in PDF and SVG, so that lines break alike
        "svg.fonttype": "path",
        "svg.hashsalt": "geojw",
        "pdf.fonttype": 42 if face.truetype else 3,
    }
    with mpl.rc_context():
        mpl.rcdefaults()  # what a user's own matplotlibrc says would make another figure
        mpl.rcParams.update(settings)
        yield face


@contextmanager
def embeddable(texts: Sequence[Text]) -> Iterator[None]:
    """
    Set texts, while a PDF is written, so that their font is embedded as TrueType (type 42).

    A font of PostScript outlines (CFF) is no valid PDF under type 42, and as type 3 it is spaced unevenly on screens:
    a TrueType font of the same outlines is made of the letters in use.

    Parameters
    ----------
    texts
        All texts of the figure, made within `typesetting`.
    """
    import matplotlib as mpl  # noqa: PLC0415 - heavy
    from matplotlib import font_manager  # noqa: PLC0415

    face = chinese_typeface()
    if face.truetype:
        yield
        return
    letters = {ord(char) for text in texts for char in text.get_text()} & face.letters
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        path = Path(folder) / "letters.ttf"
        _write_truetype(face, letters, path)
        made = replace(face, path=path, index=0)
        entry = _entry(made, f"geojw {next(_NUMBERS)}")  # a new name each time: matplotlib keeps a name's path
        font_manager.fontManager.ttflist.append(entry)
        for text in texts:
            text.set_fontfamily([entry.name, _family(_rest())])
        try:
            with mpl.rc_context({"pdf.fonttype": 42}):
                yield
        finally:
            font_manager.fontManager.ttflist.remove(entry)
            for text in texts:
                text.set_fontfamily([_family(face), _family(_rest())])


def _write_truetype(face: Typeface, letters: Iterable[int], path: Path) -> None:
    """Write a font of some letters of a CFF one, its curves as TrueType's, off by at most a thousandth of the size."""
    from fontTools.subset import Options, Subsetter  # noqa: PLC0415 - heavy
    from fontTools.ttLib import TTFont  # noqa: PLC0415

    options = Options(hinting=False, notdef_outline=True, layout_features=["kern"])
    options.drop_tables = [*options.drop_tables, "VORG", "vhea", "vmtx", "BASE"]
    subsetter = Subsetter(options)
    subsetter.populate(unicodes=letters)
    with TTFont(face.path, fontNumber=face.index, recalcTimestamp=False, lazy=True) as font:
        subsetter.subset(font)
        _turn_outlines(font)
        font.save(path)


def _turn_outlines(font: TTFont) -> None:
    """Turn the outlines of a font, in place, from CFF to TrueType."""
    from fontTools.pens.cu2quPen import Cu2QuPen  # noqa: PLC0415 - heavy
    from fontTools.pens.ttGlyphPen import TTGlyphPen  # noqa: PLC0415
    from fontTools.ttLib import newTable  # noqa: PLC0415

    source, names, made = font.getGlyphSet(), font.getGlyphOrder(), {}
    for name in names:
        pen = TTGlyphPen(None)
        source[name].draw(Cu2QuPen(pen, max_err=font["head"].unitsPerEm / 1000.0, reverse_direction=True))
        made[name] = pen.glyph()
    font["loca"], font["glyf"] = newTable("loca"), newTable("glyf")
    font["glyf"].glyphOrder, font["glyf"].glyphs = names, made
    for name, glyph in made.items():
        glyph.recalcBounds(font["glyf"])
        font["hmtx"][name] = (font["hmtx"][name][0], glyph.xMin)
    del font["CFF "]
    font["maxp"].tableVersion = 0x00010000
    for key in _MAXP:
        setattr(font["maxp"], key, int(key == "maxZones"))
    font["post"].formatType = 3.0
    font.sfntVersion = "\x00\x01\x00\x00"


def spelled(text: object) -> str:
    """
    Write a text so that every letter of it can be seen: controls and what no font has as ``[U+202E]``.

    Parameters
    ----------
    text
        Anything; line feeds stay.

    Returns
    -------
    str
        Only letters that the typeface, or DejaVu Sans behind it, can draw.

    Raises
    ------
    FontError
        There is no typeface.
    """
    known = chinese_typeface().letters | _rest().letters
    return "".join(char if char == "\n" or _is_drawn(char, known) else f"[U+{ord(char):04X}]" for char in str(text))


def width_mm(text: str, size_pt: float) -> float:
    """Give the width of one line, spelled out, in millimetres: the sum of its letters' advances."""
    return _length_em(spelled(text)) * size_pt * MM_A_POINT


def wrapped(text: str, limit_mm: float, size_pt: float, most: int | None = None) -> list[str]:
    """
    Break a text into lines, at spaces and between Chinese letters; no line starts with a closing sign.

    Parameters
    ----------
    text
        Anything; spelled out as by `spelled`, white space taken for one space.
    limit_mm
        Width of a line.
    size_pt
        Size of the letters.
    most
        Lines allowed; what is left over becomes ``…``. By default all are given.

    Returns
    -------
    list of str
        At least one line.
    """
    lines, room = [""], limit_mm / (size_pt * MM_A_POINT)
    for token in _tokens(" ".join(spelled(text).split()), room):
        line = lines[-1] + token
        if lines[-1] and _length_em(line.rstrip()) > room:
            lines.append(token.lstrip())
        else:
            lines[-1] = line
        if most is not None and len(lines) > most:
            return [*(line.rstrip() for line in lines[: most - 1]), _cut(lines[most - 1] + lines[most], room)]
    return [line.rstrip() for line in lines]


def _tokens(text: str, room: float) -> Iterator[str]:
    """Give what must stand in one line; a word too long for a line comes letter by letter."""
    for token in _TOKEN.findall(text):
        if _length_em(token.rstrip()) <= room:
            yield token
        else:
            yield from token


def _cut(text: str, room: float) -> str:
    """Cut a line so that an ellipsis fits after it."""
    while text and _length_em(text + "…") > room:
        text = text[:-1]
    return text.rstrip() + "…"


def _length_em(text: str) -> float:
    face = chinese_typeface()
    return sum(_advance_em(char, face) for char in text)


@cache
def _advance_em(char: str, face: Typeface) -> float:
    """Give a letter's advance as a share of the size."""
    from matplotlib.ft2font import LoadFlags  # noqa: PLC0415 - heavy

    font = _font(face if ord(char) in face.letters else _rest())
    return float(font.load_char(ord(char), flags=LoadFlags.NO_SCALE).horiAdvance / font.units_per_EM)


@cache
def _font(face: Typeface) -> FT2Font:
    from matplotlib.ft2font import FT2Font  # noqa: PLC0415 - heavy

    return FT2Font(str(face.path), face_index=face.index)


def _is_drawn(char: str, known: frozenset[int]) -> bool:
    return ord(char) in known and unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Zl", "Zp")


@cache
def _wanted() -> frozenset[int]:
    """Give the East Asian letters of geojw's own texts."""
    texts = "".join(words["zh"] for words in catalogue().values())
    return frozenset(code for code in map(ord, texts) if code >= _MIN_CODE)


@cache
def _named(path: str) -> Typeface:
    """Open the font that the user named; anything wrong with it is told, never passed over."""
    face = next((face for place in _faces(path) if (face := _opened(*place)) is not None), None)
    if face is None:
        raise FontError([Fault("font_file", VARIABLE, {"path": Path(path).name})])
    if lacking := sorted(_wanted() - face.letters):
        letters = "".join(map(chr, lacking[:10]))
        raise FontError([Fault("font_letters", VARIABLE, {"path": Path(path).name, "letters": letters})])
    return face


@cache
def _found() -> Typeface:
    """Find the packaged typeface, or one of the system's."""
    candidates = ((path, index) for source in (_packaged, _known, _unlisted) for path, index in source())
    for path, index in candidates:
        face = _opened(path, index)
        if face is not None and _wanted() <= face.letters:
            return face
    raise FontError([Fault("font_none", "matplotlib", {"variable": VARIABLE})])


def _packaged() -> Iterable[tuple[str, int]]:
    """Give the file of the extra `fonts`, where it is installed; nothing of the package is run."""
    name, file = PACKAGE
    spec = find_spec(name)
    folders = () if spec is None else spec.submodule_search_locations or ()
    return [(str(Path(folder) / file), 0) for folder in folders]


def _known() -> Iterable[tuple[str, int]]:
    """Give the faces that matplotlib has listed, the preferred first, each family's plainest first."""
    from matplotlib import font_manager  # noqa: PLC0415 - heavy

    order = {name: number for number, name in enumerate(PREFERRED)}

    def rank(entry: font_manager.FontEntry) -> tuple[int, bool, int, str, int]:
        weight = entry.weight if isinstance(entry.weight, int) else font_manager.weight_dict[entry.weight]
        slanted = entry.style != "normal"
        return order.get(entry.name, len(order)), slanted, abs(weight - REGULAR), entry.fname, entry.index

    return [(entry.fname, entry.index) for entry in sorted(font_manager.fontManager.ttflist, key=rank)]


def _unlisted() -> Iterable[tuple[str, int]]:
    """Give the files that came to the system after matplotlib made its list."""
    from matplotlib import font_manager  # noqa: PLC0415 - heavy

    listed = {entry.fname for entry in font_manager.fontManager.ttflist}
    return [place for path in sorted(set(font_manager.findSystemFonts()) - listed) for place in _faces(path)]


def _faces(path: str) -> list[tuple[str, int]]:
    """Give the faces of a file, of a collection the preferred one first: its first may be the Japanese letters."""
    first = _opened(path, 0)
    if first is None:
        return []
    names = {index: face.name for index in range(first.faces) if (face := _opened(path, index)) is not None}
    order = {name: number for number, name in enumerate(PREFERRED)}
    return [(path, index) for index in sorted(names, key=lambda index: (order.get(names[index], len(order)), index))]


def _opened(path: str, index: int) -> Typeface | None:
    """Read a face of a font file; None where the file is gone or no font."""
    from matplotlib.ft2font import FT2Font  # noqa: PLC0415 - heavy

    try:
        font = FT2Font(path, face_index=index)
        letters = frozenset(font.get_charmap())
    except (OSError, RuntimeError, ValueError):  # FreeType's words for a file that it cannot read
        return None
    table = font.get_sfnt_table("maxp")
    truetype = table is not None and table["version"] == (1, 0)
    return Typeface(font.family_name, Path(path), index, letters, truetype, font.num_faces)


@cache
def _rest() -> Typeface:
    """Open DejaVu Sans, which matplotlib carries: signs that a Chinese typeface may lack."""
    import matplotlib as mpl  # noqa: PLC0415 - heavy

    face = _opened(str(Path(mpl.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"), 0)
    if face is None:
        raise FontError([Fault("font_none", "matplotlib", {"variable": VARIABLE})])
    return face


@cache
def _family(face: Typeface) -> str:
    """Tell matplotlib of a face under a name of our own, so that no other font can answer for it; give the name."""
    from matplotlib import font_manager  # noqa: PLC0415 - heavy

    entry = _entry(face, f"geojw {next(_NUMBERS)}")
    font_manager.fontManager.ttflist.append(entry)
    return str(entry.name)


def _entry(face: Typeface, name: str) -> FontEntry:
    """List a face for matplotlib under a name."""
    from matplotlib import font_manager  # noqa: PLC0415 - heavy

    entry = font_manager.ttfFontProperty(_font(face))
    return replace(entry, name=name, style="normal", variant="normal", weight=REGULAR)
