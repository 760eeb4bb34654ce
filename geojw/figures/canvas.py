"""A sheet of paper to draw on, in millimetres: text, shapes, and the order of what lies over what."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

from geojw.figures import fonts
from geojw.figures.cartography import Box, outline
from geojw.measure.geodesy import Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.patches import Patch
    from matplotlib.path import Path

INK, QUIET, EDGE = "#1a1a1a", "#4a4a4a", "#222222"
LEVELS = ("ground", "layers", "dim", "grid", "zone", "rings", "sites", "names", "symbols", "stamp", "rim", "text")
"""What lies over what, from below."""
AREA = 2
"""Dimension of polygons."""

_PLAIN_PT = 7.5
"""Size of letters for which the weights of lines are meant; on other sheets they are in proportion."""
_PT_A_PX = 0.55
"""Points of a printed line for each pixel of the page's."""
_MIDDLE_EM = 0.38
"""A line's middle above its baseline, for Chinese letters and capitals alike."""
_HALO = 1.6
_QUARTER = 90.0


def level(name: str, step: float = 0.0) -> float:
    """Give the drawing order of a kind of thing; steps of 0 to 1 order things of a kind."""
    return LEVELS.index(name) + step


@dataclass(frozen=True)
class Canvas:
    """
    A sheet to draw on, in millimetres from its lower left corner.

    Parameters
    ----------
    axes
        Covers the whole sheet.
    size_pt
        Size of the plain letters; all else is in proportion.
    """

    axes: Axes
    size_pt: float

    @property
    def em_mm(self) -> float:
        """The plain letters' size in millimetres."""
        return self.size_pt * fonts.MM_A_POINT

    def text(
        self, x: float, y: float, text: str, size_pt: float, *, colour: str = INK, align: str = "left",
        halo: str | None = None, turn: float = 0.0, opacity: float = 1.0, order: float | None = None,
        clip: Box | None = None,
    ) -> None:  # fmt: skip
        """
        Write one line whose middle is at `y`; a halo is a second text beneath, so that PDF text stays text.

        All that is written passes here: it is spelled out, and no sign in it is taken for a formula.
        """
        from matplotlib.patheffects import Stroke as Halo  # noqa: PLC0415 - heavy

        drop = _MIDDLE_EM * size_pt * fonts.MM_A_POINT
        x, y = (x + drop, y) if turn == _QUARTER else (x, y - drop)
        style: dict[str, Any] = {
            "size": size_pt, "ha": align, "va": "baseline", "rotation": turn, "rotation_mode": "anchor",
            "alpha": opacity,
        }  # fmt: skip
        at = level("text") if order is None else order
        made = [self.axes.text(x, y, fonts.spelled(text), color=colour, zorder=at, **style)]
        if halo is not None:
            effect = Halo(linewidth=_HALO * size_pt / 7.0, foreground=halo)
            under = self.axes.text(x, y, fonts.spelled(text), color=halo, zorder=at - 0.001, **style)
            under.set_path_effects([effect])
            made.append(under)
        for one in made:
            one.set_clip_on(clip is not None)
            if clip is not None:
                one.set_clip_path(self._rectangle(clip))

    def shape(
        self, path: Path, order: float, *, face: str | None = None, opacity: float = 1.0, edge: str | None = None,
        weight: float = 0.0, dash: Sequence[float] = (), hatch: str | None = None, clip: Box | None = None,
        pixels: bool = False,
    ) -> None:  # fmt: skip
        """Draw a path: `weight` and `dash` in points beside plain letters; a hatch is in the colour of the edge."""
        from matplotlib.colors import to_rgba  # noqa: PLC0415 - heavy
        from matplotlib.patches import PathPatch  # noqa: PLC0415

        if not np.size(path.vertices):
            return
        thick = weight * self.size_pt / _PLAIN_PT
        style = (0.0, [part / weight for part in dash]) if dash and weight else "-"
        patch = PathPatch(
            path, facecolor="none" if face is None else to_rgba(face, opacity), zorder=order, fill=face is not None,
            edgecolor="none" if edge is None or weight == 0 else edge, linewidth=thick, hatch=hatch,
            linestyle=style, joinstyle="round", capstyle="butt",
        )  # fmt: skip
        if hatch is not None:
            patch.set_hatchcolor(edge)
            patch.set_hatch_linewidth(0.55 * self.size_pt / _PLAIN_PT)
        patch.set_rasterized(pixels)
        self.axes.add_artist(patch)  # add_patch would measure each piece of it
        if clip is not None:
            patch.set_clip_path(self._rectangle(clip))

    def box(self, box: Box, order: float, **paint: Any) -> None:  # noqa: ANN401 - the paint of `shape`
        """Draw a rectangle."""
        self.shape(outline(np.array([shapely.box(*box)], dtype=object)), order, **paint)

    def line(self, xy: Floats | Sequence[Sequence[float]], order: float, **paint: Any) -> None:  # noqa: ANN401
        """Draw a line."""
        self.shape(outline(np.array([shapely.LineString(xy)], dtype=object)), order, **paint)

    def _rectangle(self, box: Box) -> Patch:
        from matplotlib.patches import Rectangle  # noqa: PLC0415 - heavy

        return Rectangle((box[0], box[1]), box[2] - box[0], box[3] - box[1], transform=self.axes.transData)


@dataclass(frozen=True)
class Stroke:
    """How a layer's lines are printed: the page's pixels as points."""

    colour: str
    opacity: float
    weight: float
    dash: tuple[float, ...]
    hatch: str | None

    @classmethod
    def of(cls, paint: Mapping[str, object]) -> Stroke:
        """Read a layer's paint."""
        weight = float(str(paint.get("weight", 1.0))) * _PT_A_PX
        dash = [float(part) * _PT_A_PX for part in re.split(r"[ ,]+", str(paint.get("dash") or "")) if part]
        return cls(
            str(paint["colour"]), float(str(paint.get("opacity", 0.25))), weight,
            tuple(dash * (1 + len(dash) % 2)), "////" if paint.get("hatch") else None,
        )  # fmt: skip


def disc(x: float, y: float, radius: float) -> Path:
    """Make a disc."""
    return outline(np.array([shapely.Point(x, y).buffer(radius)], dtype=object))
