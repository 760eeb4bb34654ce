"""Every error that geojw raises on purpose. A fault says what, where and what to do, in both languages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from geojw.texts import say


@dataclass(frozen=True)
class Fault:
    """
    One thing that is wrong, with the place and the remedy.

    Parameters
    ----------
    key
        Key below ``fault.`` in the catalogue of texts.
    where
        File, and row or key within it.
    fields
        What the text's braces take.
    """

    key: str
    where: str
    fields: Mapping[str, object] = field(default_factory=dict)

    def text(self, lang: str) -> str:
        """Give the sentence: where, what, what to do."""
        return f"{self.where}: {say(f'fault.{self.key}', lang, **self.fields)}"


class GeojwError(Exception):
    """
    Base of all errors raised on purpose; carries all faults found, not only the first.

    Parameters
    ----------
    faults
        At least one.
    """

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(fault.text("en") for fault in self.faults))

    def text(self, lang: str) -> str:
        """Give all faults, a line each."""
        return "\n".join(fault.text(lang) for fault in self.faults)


class PackError(GeojwError):
    """The zone pack cannot be used."""


class SitesError(GeojwError):
    """A file of sites cannot be used."""


class LayerError(GeojwError):
    """A layer's data cannot be used: its rules are ``source_failed``, the run goes on."""


class CRSError(GeojwError):
    """Two tables that must share a CRS do not, or a CRS cannot serve."""


class OutputError(GeojwError):
    """The results cannot be written."""


class FontError(OutputError):
    """No font here can set the text of a figure."""


class ClusterError(GeojwError):
    """A cluster cannot be used."""
