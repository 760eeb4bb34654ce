"""Measure: shapes, distances, areas and cells, on the ellipsoid and in the plane of the analysis CRS. No opinions."""
