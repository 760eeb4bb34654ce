"""
Screen project sites: may this be built here, on what legal basis, how sure are we, what would have to change.

Examples
--------
>>> import geojw
>>> zone = geojw.open_zone("gaoxin")
>>> sites = geojw.read_sites(zone.sample_sites)
>>> screening = geojw.screen(sites, zone)
>>> len(screening.verdicts) == len(sites)
True
"""

__version__ = "0.1.0"

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from geojw.decide.screening import Screening
    from geojw.decide.targets import Evaluation
    from geojw.decide.targets import evaluate as evaluate_targets
    from geojw.errors import CRSError, GeojwError, LayerError, OutputError, PackError, SitesError
    from geojw.intake.site_files import read_sites
    from geojw.intake.sites import Sites
    from geojw.zone import Zone, open_zone, screen

__all__ = [
    "CRSError",
    "Evaluation",
    "GeojwError",
    "LayerError",
    "OutputError",
    "PackError",
    "Screening",
    "Sites",
    "SitesError",
    "Zone",
    "evaluate_targets",
    "open_zone",
    "read_sites",
    "screen",
]

_HOMES = {
    "CRSError": "errors", "GeojwError": "errors", "LayerError": "errors", "OutputError": "errors",
    "PackError": "errors", "SitesError": "errors", "Sites": "intake.sites", "read_sites": "intake.site_files",
    "Screening": "decide.screening", "Evaluation": "decide.targets", "evaluate_targets": "decide.targets",
    "Zone": "zone", "open_zone": "zone", "screen": "zone",
}  # fmt: skip


def __getattr__(name: str) -> object:
    """Load what is asked for when it is: the reader of files and the command line start without all the rest."""
    if name not in _HOMES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(f"geojw.{_HOMES[name]}"), "evaluate" if name == "evaluate_targets" else name)
