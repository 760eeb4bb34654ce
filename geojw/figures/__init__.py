"""Maps and charts on paper: PNG, SVG and PDF without a browser."""
