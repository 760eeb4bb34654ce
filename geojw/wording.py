"""Columns of texts made as columns, not cell by cell: lists, sentences with figures, names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from string import Formatter
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import compute

Texts = NDArray[np.object_]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

WORDS_AT_ONCE = 40
"""So many words are told apart by the bits of one number."""

PLAIN_FROM = 100.0
"""Figures from here on are written without decimals."""


class Kinds(NamedTuple):
    """
    A column of few texts that repeat.

    Parameters
    ----------
    code
        Which of the texts each row has.
    texts
        Some may have no row.
    """

    code: Ints
    texts: Texts

    @classmethod
    def same(cls, text: str, n: int) -> Kinds:
        """Give a column of one text."""
        return cls(np.zeros(n, dtype=np.int64), np.array([text], dtype=object))

    @classmethod
    def of(cls, column: Texts) -> Kinds:
        """Take a column apart; its texts are sorted."""
        code, texts = pd.factorize(column, sort=True)
        return cls(np.asarray(code, dtype=np.int64), np.asarray(texts, dtype=object))

    def take(self, rows: Ints | slice) -> Kinds:
        """Give some rows."""
        return Kinds(self.code[rows], self.texts)

    def plain(self) -> Texts:
        """Give it as texts."""
        return self.texts[self.code]

    def column(self, *, coded: bool) -> Texts | pd.Categorical:
        """Give it as texts or, coded, as categories."""
        return pd.Categorical.from_codes(self.code, pd.Index(self.texts)) if coded else self.plain()


ARRAY_EACH_ROWS = 1_000
"""From so many rows on a column of texts has an array of its own."""

TEXT = pd.StringDtype(na_value=np.nan)
"""What pandas makes of texts."""


def framed(columns: Mapping[str, Any]) -> pd.DataFrame:
    """
    Make a table; of a small one all columns of texts are parts of one array, which costs less than an array each.

    Parameters
    ----------
    columns
        Of one length.
    """
    words = [name for name, column in columns.items() if column.dtype == object]
    n = len(columns[words[0]]) if words else 0
    if not n or n >= ARRAY_EACH_ROWS:
        return pd.DataFrame(columns)
    all_ = pd.array(np.concatenate([columns[name] for name in words]), dtype=TEXT)
    parts = {name: all_[at * n : (at + 1) * n] for at, name in enumerate(words)}
    return pd.DataFrame({name: parts.get(name, column) for name, column in columns.items()})


def in_place(rows: Sequence[Ints], pieces: Sequence[pa.Array]) -> pa.Array:
    """Put pieces of a column together, of each of which is said which rows it holds: every row, once in all of them."""
    return pa.concat_arrays(pieces).take(pa.array(np.argsort(np.concatenate(rows), kind="stable")))


def crossed(build: Callable[..., str], *columns: Kinds) -> Kinds:
    """
    Make a text from the texts of a row, once for each combination that occurs.

    Parameters
    ----------
    build
        Takes a text of each column.
    *columns
        Of one length.

    Examples
    --------
    >>> one, other = Kinds.of(np.array(["x", "y", "x"], dtype=object)), Kinds.same("!", 3)
    >>> crossed(lambda a, b: a.upper() + b, one, other).plain().tolist()
    ['X!', 'Y!', 'X!']
    """
    code = columns[0].code
    for column in columns[1:]:
        code = code * len(column.texts) + column.code
    met, place = np.unique(code, return_inverse=True)
    picked = []
    for column in reversed(columns):
        met, which = np.divmod(met, len(column.texts))
        picked.append(column.texts[which])
    texts = np.array(list(map(build, *reversed(picked))), dtype=object)
    return Kinds(np.asarray(place, dtype=np.int64).ravel(), texts)


def joined(group: Ints, code: Ints, words: Texts, n: int) -> Kinds:
    """
    Join the words of each group by ``;``, sorted.

    Parameters
    ----------
    group, code
        Of each word: its group, below `n`, and which of `words` it is. No pair comes twice.
    words
        Sorted, without repeats.
    n
        How many groups there are.

    Returns
    -------
    Kinds
        A text a group; empty for one without words.

    Examples
    --------
    >>> kinds = joined(np.array([2, 0, 2]), np.array([1, 2, 0]), np.array(["a", "b", "x"], dtype=object), 3)
    >>> kinds.column(coded=False).tolist()
    ['x', '', 'a;b']
    """
    kind = np.zeros(n, dtype=np.int64)
    for start in range(0, len(words), WORDS_AT_ONCE):
        some = (code >= start) & (code < start + WORDS_AT_ONCE)
        bits = np.bincount(group[some], np.exp2(code[some] - start), minlength=n).astype(np.int64)
        kind = pd.factorize((kind << WORDS_AT_ONCE) + bits)[0]
    first = np.zeros(int(kind.max(initial=-1)) + 1, dtype=np.int64)
    first[kind[::-1]] = np.arange(n)[::-1]  # what is written last stays
    number = np.full(n, -1, dtype=np.int64)
    number[first] = np.arange(len(first))
    of = number[group]
    of, code = of[of >= 0], code[of >= 0]
    order = np.lexsort((code, of))
    texts = joined_sorted(
        of[order], np.asarray(words, dtype=object)[code[order]], np.full(len(first), "", dtype=object)
    )
    known, place = np.unique(texts.astype(str), return_inverse=True)
    return Kinds(place.ravel()[kind] if n else kind, known.astype(object))


def joined_sorted(group: Ints, word: Texts, out: Texts) -> Texts:
    """Join the words of each group by ``;`` in the order given, groups being together; write them into `out`."""
    if not len(group):
        return out
    begin = np.flatnonzero(np.diff(group, prepend=-1))
    count = np.diff(np.append(begin, len(group)))
    text = word[begin].copy()
    more = np.flatnonzero(count > 1)
    step = 1
    while more.size:  # as often as the longest list has words, whatever the number of groups
        text[more] = text[more] + (";" + word[begin[more] + step])
        step += 1
        more = more[count[more] > step]
    out[group[begin]] = text
    return out


def filled(template: str, n: int, **columns: Texts) -> Texts:
    """
    Fill a template for a whole column.

    Parameters
    ----------
    template
        As `str.format` takes it, with plain names in its braces.
    n
        Length of the column.
    **columns
        A text each row for every name.

    Examples
    --------
    >>> filled("{b}, {a}!", 2, a=np.array(["x", "y"], dtype=object), b=np.array(["1", "2"], dtype=object)).tolist()
    ['1, x!', '2, y!']
    """
    out = np.full(n, "", dtype=object)
    for text, name, _, _ in Formatter().parse(template):
        out = out + text if text else out
        out = out + columns[name] if name is not None else out
    return np.asarray(out, dtype=object)


def figures(value: Floats) -> Texts:
    """
    Write figures for sentences: three digits at least, never rounded to nothing.

    Examples
    --------
    >>> figures(np.array([1234567.4, 387.2, 0.31416, 0.0])).tolist()
    ['1,234,567', '387', '0.314', '0']
    """
    value = np.asarray(value, dtype=float)
    small = ~(np.abs(value) >= PLAIN_FROM)
    out = np.full(len(value), "", dtype=object)
    out[small] = np.char.mod("%.3g", value[small])
    whole = np.rint(np.where(small, 0.0, value)).astype(np.int64)
    size = np.abs(whole)
    groups = np.searchsorted(1000 ** np.arange(1, 7), size, side="right")
    for more in np.unique(groups[~small]):
        rows = np.flatnonzero(~small & (groups == more))
        parts = [np.sign(whole[rows]) * (size[rows] // 1000**more)]
        parts += [size[rows] // 1000**power % 1000 for power in range(more - 1, -1, -1)]
        texts = [pa.array(part).cast(pa.string()) for part in parts]
        texts[1:] = [compute.utf8_lpad(text, 3, "0") for text in texts[1:]]
        out[rows] = compute.binary_join_element_wise(*texts, ",").to_numpy(zero_copy_only=False)
    return out
