"""What many sites need is loaded while they are read."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import date
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

from geojw.errors import LayerError
from geojw.intake.quarantine import Reader

if TYPE_CHECKING:  # reading begins before anything that is slow to load
    from geojw.zone import Zone


@contextmanager
def uncollected() -> Iterator[None]:
    """Switch off the collector of garbage."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def read_layers(zone: Zone, names: Iterable[str]) -> None:
    """Read layers before the first batch."""
    for name in names:
        with suppress(LayerError):  # its rules are `source_failed`, as screening will find
            read_whole(zone, name)


def read_whole(zone: Zone, name: str) -> None:
    """Read a layer whole: read around one batch, what is said of it would depend on which batch was the first."""
    if zone.pack.layers[name].kind == "raster":
        zone.raster(name)
    else:
        zone.layer(name)


class Ahead:
    """
    Reading that goes on while the zone is opened, and the loading of what so many sites need.

    Nothing depends on it: what was not loaded, or could not be, is loaded where it is needed, and told there.

    Parameters
    ----------
    whole
        From more sites than this on, layers are read whole before the first batch; None for runs with a map.
    """

    def __init__(self, whole: int | None) -> None:
        self.whole = whole
        self._zone: tuple[Zone, date] | None = None
        self._opened = Event()
        self._thread: Thread | None = None

    def begin(self, reader: Reader, paths: tuple[Path, ...], **asked: Any) -> None:  # noqa: ANN401 - as `SiteFiles` takes them
        """Begin to read files."""
        for path in paths:
            reader.begin(path, asked["limits"], asked.get("table"), asked.get("encoding"), self._told)

    def opened(self, zone: Zone, day: date) -> None:
        """Say that the zone is there, and whose day's rules count."""
        self._zone = zone, day
        self._opened.set()

    def _told(self, count: int) -> None:
        if self._thread is None:
            self._thread = Thread(target=self._load, args=(count,), name="loading", daemon=True)
            self._thread.start()

    def _load(self, count: int) -> None:
        from geojw.decide.screening import MANY  # noqa: PLC0415 - loaded while others wait

        if count < MANY:
            return
        with suppress(Exception):
            from geojw.measure.compiled import load  # noqa: PLC0415

            load()
            self._opened.wait()
            if self._zone is not None and self.whole is not None and count > self.whole:
                zone, day = self._zone
                read_layers(zone, zone.pack.layers_in_force(day))
