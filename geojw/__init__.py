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

from geojw.errors import CRSError, GeojwError, LayerError, OutputError, PackError, SitesError
from geojw.intake import Sites, read_sites
from geojw.screening import Screening
from geojw.targets import Evaluation
from geojw.targets import evaluate as evaluate_targets
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
