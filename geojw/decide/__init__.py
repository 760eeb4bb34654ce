"""Decide: rules put to sites make findings, findings make verdicts; targets are met or not. No files."""
