"""Maps that open offline in a browser, for an audience."""
