"""Files in: what strangers send, checked, read and brought into the analysis CRS."""
