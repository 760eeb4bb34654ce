"""A process of our own is set up once, on any machine, and ends without looking through what it holds."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

from geojw.process import LOADED_OBJECTS, settle

ENDS = """
import atexit, gc
atexit.register(lambda: print(gc.get_freeze_count() > 1000, gc.get_threshold()[0]))
from geojw.process import settle
settle()
settle()
import pandas
"""
"""What is registered first is done last."""


def test_libraries_are_not_looked_through_at_the_end() -> None:
    done = subprocess.run([sys.executable, "-c", ENDS], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", str(LOADED_OBJECTS)]


@pytest.mark.parametrize("error", [AttributeError, OSError, TypeError])
def test_a_machine_with_another_c_library_is_left_as_it_is(error: type, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(_: object) -> None:
        raise error

    monkeypatch.setattr(ctypes, "CDLL", absent)
    monkeypatch.setattr("gc.set_threshold", lambda _: None)
    monkeypatch.setattr("atexit.register", lambda _: None)
    monkeypatch.setattr("atexit.unregister", lambda _: None)
    settle()
