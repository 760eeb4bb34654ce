"""Put the tests of rules to the sites, on one layer, three-valued. What the answers mean is decided above."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import shapely

from geojw.decide.batch import Batch, Kept, LayerData
from geojw.decide.slivers import SLIVER_SHARE
from geojw.law.access_list import FALSE, TRUE, UNKNOWN, Rule, Test, Three, match_features
from geojw.law.catalogue import Layer
from geojw.measure import accuracy, nearness, overlay, unions
from geojw.measure.geodesy import Floats, Geometries
from geojw.measure.index import POINT, Bools, Selection, Shapes
from geojw.measure.overlay import Pairs
from geojw.measure.pieces import Ints
from geojw.wording import Kinds, Texts, joined_sorted

NATURAL: Texts = np.array(["overlap_point", "overlap_m", "overlap_m2"], dtype=object)
"""What is taken of points, lines and areas: the position is the dimension."""

UNITS: Texts = np.array(["", "m", "m2", "share"], dtype=object)
"""Of margins."""

NO_UNIT, METRES, SQUARE_METRES, SHARE = range(4)
"""Positions in `UNITS`."""

UNIT = {"overlap_m2": SQUARE_METRES, "overlap_m": METRES, "overlap_point": NO_UNIT, "overlap_share": SHARE}
NEAR_LIMIT_M2, NEAR_LIMIT_SHARE = 1e-3, 1e-9
NAMED_FEATURES = 5


class BeyondError(Exception):
    """A nearest feature may lie outside what was read of a large layer: never shown, more is read."""


@dataclass(frozen=True, eq=False)
class Answer:
    """
    What a rule's test says of each site, before coverage and attributes.

    Parameters
    ----------
    test
        Whether the test is passed, three-valued.
    value
        The figure in the unit of `measure`; NaN where none was taken.
    margin
        Gives the signed way to where the answer flips, positive on the clear side: distances to several layers are
        measured together when the first is wanted.
    unit
        Its position in `UNITS`.
    firm
        Whether the answer survives the accuracy of layer and site.
    sliver
        Whether an overlap was counted as nothing.
    measure
        What was taken.
    features
        The ids of the features that it rests on, joined by ``;``.
    why
        What leaves it unknown: features and columns, ``dimension`` or ``layer_kind``.
    away
        Unit vectors from the nearest feature to the sites; None for overlaps.
    """

    test: Three
    value: Floats
    margin: Callable[[], Floats]
    unit: Ints
    firm: Bools
    sliver: Bools
    measure: Kinds
    features: Texts
    why: Kinds
    away: Floats | None = None


def natural_measures(rule: Rule, row: Layer, shapes: Shapes) -> Kinds:
    """Give what is taken of each site: the measure follows the site's dimension where the limit is 0."""
    test = rule.test
    fits = test.value == 0.0 and test.measure in NATURAL.tolist() and row.geometry == "polygon"
    return Kinds(shapes.dimension, NATURAL) if fits else Kinds.same(test.measure, len(shapes))


class OnLayer:
    """
    The sites of a batch on one layer: what several rules ask is measured once.

    Parameters
    ----------
    batch
        The sites.
    row
        The layer's row of the catalogue.
    data
        The layer.
    """

    def __init__(self, batch: Batch, row: Layer, data: LayerData) -> None:
        self.batch, self.row, self.data = batch, row, data
        self.shapes = batch.shapes
        self.slivers = batch.slivers
        self._answers: dict[str, Answer] = {}
        self._near: dict[Selection, nearness.Asked] = {}

    @cached_property
    def pairs(self) -> Pairs:
        """Overlaps with single features; none where the layer has no areas."""
        if self.row.geometry != "polygon" or not len(self.shapes):
            return Pairs.none()
        return overlay.overlap_pairs(self.shapes, self.data.index, self.batch.workers)

    def kept(self, rule: Rule) -> Kept:
        """Filter the features by the rule's `where`."""
        key, known = rule.where_key, self.data.kept
        if key not in known:
            answer, missing = match_features(self.data.index.features, rule.where, self.row.codes)
            adrift = self.data.adrift
            named = missing.plain()
            named[adrift] = ["position" if not old else f"{old};position" for old in named[adrift]]
            known[key] = Kept(answer == TRUE, answer >= UNKNOWN, named)
        return known[key]

    def answer(self, rule: Rule) -> Answer:
        """Put a rule's test to every site; rules with the same `where` and test share the answer."""
        key = rule.test_key
        if key not in self._answers:
            self._answers[key] = self._answered(rule)
        return self._answers[key]

    def _answered(self, rule: Rule) -> Answer:
        kept = self.kept(rule)
        if rule.test.is_distance:
            return self._distance(rule, kept)
        return self._overlap(rule, kept) if self.row.geometry == "polygon" else self._no_areas(rule)

    # -- coverage ---------------------------------------------------------------------------------

    def uncovered(self, rule: Rule, rows: Ints) -> Bools:
        """Whether the layer does not speak for all of each of these sites (widened by a distance limit)."""
        if rule.test.is_distance:
            shapes = self.shapes.take(rows)
            out, size = self.data.coverage.outside_widened(shapes, rule.test.value, self.batch.workers)
            sliver_m2 = self.batch.pack.zone.sliver_m2
            return np.asarray(~((out <= sliver_m2) & (out <= SLIVER_SHARE * size)), dtype=bool)
        return self._outside[rows]

    @cached_property
    def _outside(self) -> Bools:
        return self.slivers.counts(self.data.coverage.outside(self.shapes, self.batch.workers, self.batch.uncovered))

    # -- overlap ----------------------------------------------------------------------------------

    def _overlap(self, rule: Rule, kept: Kept) -> Answer:
        test, shapes = rule.test, self.shapes
        measure = natural_measures(rule, self.row, shapes)
        sure = self.data.index.select(kept.certain & ~self.data.adrift)
        perhaps = self.data.index.select(kept.possible)
        low = high = self._between(sure, test)
        least = most = test.holds(self.slivers.tested(low, test))
        sliver = self.slivers.is_sliver(low, test)
        if sure is not perhaps:
            high = self._between(perhaps, test)
            most = test.holds(self.slivers.tested(high, test))
            sliver = sliver | self.slivers.is_sliver(high, test)
        verdict = _both(least, most)
        verdict[np.isnan(low) | np.isnan(high)] = UNKNOWN
        if (kept.possible & self.data.unplaced).any():
            verdict[verdict == (FALSE if test.is_presence else TRUE)] = UNKNOWN
        wrong = np.zeros(len(shapes), dtype=bool)
        if measure.texts is not NATURAL and not test.is_share:
            wrong = np.array([word != test.measure for word in NATURAL])[shapes.dimension]
        why = self._why_open(kept, verdict == UNKNOWN, wrong)
        verdict[wrong] = UNKNOWN
        found = verdict == (TRUE if test.is_presence else FALSE)
        sliver &= ~wrong
        margin, unit = self._overlap_margin(test, verdict, found, low, high, sure, perhaps, measure)
        value = np.minimum(low / shapes.size, 1.0) if test.is_share else low
        firm = self._firm_overlap(test, verdict, found, (low, sure), (high, perhaps))
        return Answer(
            verdict, np.where(wrong, np.nan, value), margin, unit, firm & ~sliver, sliver, measure,
            self._features_of(sure), why,
        )  # fmt: skip

    def _no_areas(self, rule: Rule) -> Answer:
        """Answer an area test against a layer that has no areas: it cannot be made."""
        n = len(self.shapes)
        nothing, no, blank = np.full(n, np.nan), np.zeros(n, dtype=bool), np.full(n, "", dtype=object)
        measure, why = natural_measures(rule, self.row, self.shapes), Kinds.same("layer_kind", n)
        unit = np.full(n, NO_UNIT)
        return Answer(np.full(n, UNKNOWN, dtype=np.int8), nothing, lambda: nothing, unit, no, no, measure, blank, why)

    def _between(self, selection: Selection, test: Test) -> Floats:
        """Overlap with the union of a selection; measured without shortcuts where it lies at a limit."""
        shapes = self.shapes
        out = unions.union_overlap(shapes, self.pairs, selection)
        if not out.any():
            return out
        limit = test.value * (shapes.size if test.is_share else np.ones(len(shapes)))
        band = np.maximum(NEAR_LIMIT_M2, NEAR_LIMIT_SHARE * shapes.size)
        near = np.zeros(len(shapes), dtype=bool)
        for at in (limit, self.slivers.limit, shapes.size - self.slivers.limit):
            near |= np.abs(out - at) <= band
        near &= (out > 0.0) & ~((out == shapes.size) & (test.value == 0.0)) & (shapes.dimension > POINT)
        for row in np.flatnonzero(near):
            out[row] = unions.exact_overlap(shapes.geometries[row], selection)
        return np.minimum(out, shapes.size)

    def _firm_overlap(
        self,
        test: Test,
        verdict: Three,
        found: Bools,
        low: tuple[Floats, Selection],
        high: tuple[Floats, Selection],
    ) -> Bools:
        """
        Whether the answer survives the accuracy.

        A find rests on what is surely there and could only be lost by shrinking it; its absence rests on all that
        may be there and could only be lost by growing it.
        """
        firm, shapes, own = np.zeros(len(self.shapes), dtype=bool), self.shapes, self.batch.accuracy_m
        theirs = np.where(self.data.unplaced, 0.0, self.data.accuracy_m)  # without a shape there is no edge

        def survives(figure: Floats) -> Bools:
            return np.asarray(test.holds(self.slivers.tested(figure, test)) == (verdict == TRUE), dtype=bool)

        for side, (part, selection), grown in ((found, low, False), (~found, high, True)):
            rows = np.flatnonzero(side & (verdict != UNKNOWN) & ~np.isnan(own))
            if not rows.size or np.isnan(theirs[selection.kept]).any():
                continue
            moved, workers = part.copy(), self.batch.workers
            if shapes.many:
                some = shapes.take(rows)
                most = accuracy.most_changed(some, selection, theirs, own[rows], grown=grown, workers=workers)
                moved[rows] = np.clip(part[rows] + (most if grown else -most), 0.0, some.size)
                firm[rows] = survives(moved)[rows]  # even if all of it changed
                rows = rows[~firm[rows]]
            moved[rows] = accuracy.moved_overlap(
                shapes.take(rows), part[rows], selection, theirs, own[rows], self.batch.pack.zone.site_accuracy_m,
                grown=grown, workers=workers,
            )  # fmt: skip
            firm[rows] = survives(moved)[rows]
        return firm

    def _overlap_margin(
        self,
        test: Test,
        verdict: Three,
        found: Bools,
        low: Floats,
        high: Floats,
        sure: Selection,
        perhaps: Selection,
        measure: Kinds,
    ) -> tuple[Callable[[], Floats], Ints]:
        """Signed way to where the answer flips, when asked for; `low` decides a find, `high` its absence."""
        shapes, sign = self.shapes, 1.0 if test.is_presence else -1.0
        value = np.where(found, low, high) / (shapes.size if test.is_share else 1.0)
        margin = sign * (test.value - value)
        unit = np.array([UNIT[word] for word in measure.texts])[measure.code]
        margin[verdict == UNKNOWN] = np.nan
        if test.value != 0.0:
            return lambda: margin, unit
        points = np.flatnonzero(found & (shapes.dimension == POINT))
        margin[points], unit[points] = -sign * _depths_m(shapes.geometries[points], sure), METRES
        far = np.flatnonzero((verdict != UNKNOWN) & ~found)
        if not far.size:
            return lambda: margin, unit
        unit[far] = METRES
        asked = self._asked(perhaps, far)

        def whole() -> Floats:
            away = self._nearest(asked).distance_m
            out = margin.copy()
            out[far] = sign * np.where(np.isfinite(away), away, np.nan)
            return out

        return whole, unit

    def _features_of(self, selection: Selection) -> Texts:
        """Give the ids of the kept features that each site overlaps, joined by `;`."""
        out = np.full(len(self.shapes), "", dtype=object)
        if not len(self.pairs.site):
            return out
        rows = selection.kept[self.pairs.feature] & (self.pairs.overlap > 0.0)
        site, feature = self.pairs.site[rows], self.pairs.feature[rows]
        return joined_sorted(site, self.data.ids[feature], out)

    def _why_open(self, kept: Kept, rows: Bools, wrong: Bools) -> Kinds:
        """Name features and columns that leave a test unknown, or that sites have the wrong dimension for it."""
        if not (rows | wrong).any():
            return Kinds.same("", len(rows))
        out = np.full(len(rows), "", dtype=object)
        ids = self.data.ids
        doubtful = kept.possible & (~kept.certain | self.data.adrift)
        touched: dict[int, list[str]] = {}
        asked = np.flatnonzero(rows[self.pairs.site] & doubtful[self.pairs.feature])
        for site, feature in zip(self.pairs.site[asked], self.pairs.feature[asked], strict=True):
            touched.setdefault(int(site), []).append(f"{ids[feature]}.{kept.missing[feature]}")
        lost = [f"{name}.geometry" for name in ids[kept.possible & self.data.unplaced]]
        every = [f"{ids[feature]}.{kept.missing[feature]}" for feature in np.flatnonzero(doubtful)]
        for site in np.flatnonzero(rows):
            named = [*touched.get(int(site), []), *lost] or every
            out[site] = ";".join(named[:NAMED_FEATURES]) + (";…" if len(named) > NAMED_FEATURES else "")
        out[wrong] = "dimension"
        return Kinds.of(out)

    # -- distance ---------------------------------------------------------------------------------

    def _asked(self, selection: Selection, rows: Ints) -> nearness.Asked:
        """Ask for the nearest features of some sites."""
        return self.batch.distances.ask(self.shapes.take(rows), selection)

    def _nearest(self, asked: nearness.Asked) -> nearness.Nearest:
        """Give the nearest features; raise where they may lie beyond what was read."""
        found = asked.nearest
        if self.data.reach_m is not None and np.any(found.distance_m > self.data.reach_m * 0.999):
            raise BeyondError
        return found

    def _nearest_of_all(self, kept: Bools) -> nearness.Nearest:
        """Give the nearest of some features to every site."""
        return self._nearest(self._asked_of_all(kept))

    def _asked_of_all(self, kept: Bools) -> nearness.Asked:
        """Ask for the nearest of some features to every site, once."""
        selection = self.data.index.select(kept)
        if selection not in self._near:
            self._near[selection] = self._asked(selection, np.arange(len(self.shapes)))
        return self._near[selection]

    def _distance(self, rule: Rule, kept: Kept) -> Answer:
        test, n = rule.test, len(self.shapes)
        sure_ones, maybe_ones = kept.certain & ~self.data.adrift, kept.possible
        alike = self._alike(kept)
        for ones in (sure_ones, maybe_ones):
            for some in (ones, *(ones & same for same in alike)):
                self._asked_of_all(some)  # all are measured together when the first is read
        near, sure = self._nearest_of_all(maybe_ones), self._nearest_of_all(sure_ones)
        low, feature = sure.distance_m.copy(), sure.feature.copy()
        for one in np.flatnonzero(kept.certain & self.data.adrift):
            far = self._farthest(int(one), np.full(n, test.value))
            feature = np.where(far < low, one, feature)
            low = np.minimum(low, far)
        verdict = _both(test.holds(low), test.holds(near.distance_m))
        if (kept.possible & self.data.unplaced).any():
            verdict[verdict == (FALSE if test.is_presence else TRUE)] = UNKNOWN
        found = verdict == (TRUE if test.is_presence else FALSE)
        value = np.where(found, low, near.distance_m)
        value, no = np.where(np.isfinite(value), value, np.nan), np.zeros(n, dtype=bool)
        features = np.append(self.data.ids, "")[np.where(found, feature, near.feature)]
        margin = (value - test.value) * (1.0 if test.is_presence else -1.0)
        return Answer(
            verdict, value, lambda: margin, np.full(n, METRES),
            self._firm_distance(test, kept, found, alike), no, Kinds.same("distance_m", n),
            features, self._why_open(kept, verdict == UNKNOWN, no), np.where(found[:, None], sure.away, near.away),
        )  # fmt: skip

    def _farthest(self, feature: int, within_m: Floats) -> Floats:
        return nearness.farthest_m(self.shapes, self.data.index.geometries[feature], within_m, self.batch.analysis)

    def _alike(self, kept: Kept) -> list[Bools]:
        """Give the features of each accuracy among those that may count."""
        accuracy = self.data.accuracy_m
        return [accuracy == u for u in np.unique(accuracy[kept.possible & ~np.isnan(accuracy)])]

    def _firm_distance(self, test: Test, kept: Kept, found: Bools, alike: list[Bools]) -> Bools:
        """Whether the find or its absence survives the accuracy of every feature and of the site."""
        n = len(self.shapes)
        most, least = np.full(n, np.inf), np.full(n, np.inf)
        accuracy, site, adrift = self.data.accuracy_m, self.batch.accuracy_m, self.data.adrift
        for same in alike:
            u = accuracy[same][0]
            least = np.minimum(least, self._nearest_of_all(kept.possible & same).distance_m - u)
            surely = kept.certain & ~adrift & same
            if surely.any():  # else nothing would be found, however much is read
                most = np.minimum(most, self._nearest_of_all(surely).distance_m + u)
            for feature in np.flatnonzero(kept.certain & adrift & same):
                most = np.minimum(most, self._farthest(int(feature), test.value - u - np.nan_to_num(site)) + u)
        near: Callable[[Floats], Any] = test.holds if test.is_presence else lambda d: ~test.holds(d)
        all_known = not np.isnan(accuracy[kept.possible]).any()
        firm = np.where(found, near(most + site), ~near(least - site) & all_known)
        return np.asarray(firm & ~np.isnan(site), dtype=bool)


def _depths_m(points: Geometries, selection: Selection) -> Floats:
    """Give how deep the deepest point of each site lies in the kept union."""
    out = np.zeros(len(points))
    if not len(points) or not len(selection.outline):
        return out
    parts, site = shapely.get_parts(points, return_index=True)
    shapely.prepare(selection.union)
    inside = np.asarray(shapely.intersects(selection.union, parts), dtype=bool)
    if inside.any():
        (at, _), depth = selection.outline.query_nearest(parts[inside], return_distance=True, all_matches=False)
        np.maximum.at(out, site[inside][at], depth)
    return out


def _both(low: Bools, high: Bools) -> Three:
    """Give TRUE where both answers are yes, FALSE where both are no, else UNKNOWN."""
    return np.where(low & high, TRUE, np.where(~low & ~high, FALSE, UNKNOWN)).astype(np.int8)
