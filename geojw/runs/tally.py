"""What one batch of a screening counted, in plain values that can be written down and read again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from geojw.decide.screening import REJECTED, Screening
from geojw.decide.verdicts import VERDICTS
from geojw.errors import Fault
from geojw.law.effects import EFFECTS

REMARKS_KEPT = 1_000
SHOWN = 50
RANK = {word: i for i, word in enumerate(("prohibit", "undetermined", *EFFECTS[-2::-1]))}


@dataclass(frozen=True)
class Tally:
    """
    What one batch counted.

    Parameters
    ----------
    screened
        Sites with a verdict.
    verdicts, at_most
        Word -> how many sites.
    lifted
        Findings that what an applicant states has lifted.
    rejected, worst
        Rows of the tables `rejected` and `verdicts`: the first, and the strictest.
    failed
        Layer -> the faults for which its rules are ``source_failed``.
    remarks
        What was decided for sites that were kept.
    notes
        Pairs of geometries that needed a fallback.
    """

    screened: int
    verdicts: Mapping[str, int]
    at_most: Mapping[str, int]
    lifted: int
    rejected: Sequence[Sequence[Any]]
    worst: Sequence[Sequence[Any]]
    failed: Mapping[str, Sequence[Mapping[str, Any]]]
    remarks: Sequence[Mapping[str, Any]]
    notes: Sequence[Sequence[str]]

    @classmethod
    def of(cls, part: Screening, remarks: Sequence[Fault], *, large: bool) -> Tally:
        """Count a batch; of a large run, sites that are clear are not among the strictest."""
        shown = part.coded_verdicts[part.coded_verdicts["verdict"] != "clear"] if large else part.coded_verdicts
        return cls(
            screened=len(part.coded_verdicts),
            verdicts=_counts(part.coded_verdicts["verdict"]),
            at_most=_counts(part.coded_verdicts["at_most"]),
            lifted=int((part.coded_findings["outcome"] == "lifted").sum()),
            rejected=_rows(part.rejected.iloc[:REMARKS_KEPT][list(REJECTED)]),
            worst=_rows(strictest(shown)[list(VERDICTS)]),
            failed={name: [told(fault) for fault in error.faults] for name, error in part.failed.items()},
            remarks=[told(fault) for fault in remarks],
            notes=[list(note) for note in part.notes],
        )

    def plain(self) -> dict[str, Any]:
        """Give it as JSON takes it."""
        return asdict(self)


def strictest(verdicts: pd.DataFrame) -> pd.DataFrame:
    """Give the rows that the terminal shows, the strictest first."""
    verdicts = verdicts if verdicts["site_id"].is_monotonic_increasing else verdicts.sort_values("site_id")
    rank = verdicts["verdict"].map(RANK).to_numpy(dtype=np.int64)
    return verdicts.iloc[np.argsort(rank, kind="stable")[:SHOWN]]


def told(fault: Fault) -> dict[str, Any]:
    """Give a fault in plain values, that say the same."""
    fields = {name: _plain(value) for name, value in fault.fields.items()}
    return {"key": fault.key, "where": fault.where, "fields": fields}


def fault_of(row: Mapping[str, Any]) -> Fault:
    """Give the fault again."""
    return Fault(row["key"], row["where"], row["fields"])


def _plain(value: object) -> object:
    value = value.item() if hasattr(value, "item") else value
    return value if isinstance(value, (str, int, float, bool)) or value is None else str(value)


def _counts(words: pd.Series) -> dict[str, int]:
    return {str(word): int(count) for word, count in sorted(words.value_counts().items()) if count}


def _rows(frame: pd.DataFrame) -> list[list[Any]]:
    return [[_plain(cell) for cell in row] for row in frame.itertuples(index=False)]
