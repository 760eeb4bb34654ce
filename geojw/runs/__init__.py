"""Whole runs: from files to a folder of results, what the command line does, without its words."""
