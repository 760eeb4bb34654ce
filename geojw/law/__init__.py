"""The law and the catalogue as data: frozen rows from TOML, held against each other."""
