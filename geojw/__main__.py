"""Let ``python -m geojw`` be the same as ``geojw``."""

from geojw.cli import main

main(prog_name="geojw")
