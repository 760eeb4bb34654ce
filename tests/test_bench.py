"""The benchmarks' own code: they share a page, and the small one of cover shares runs and agrees."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parent.parent / "scripts"
sys.path.insert(0, str(SCRIPTS))

import sections  # noqa: E402 - beside the benchmarks

OLD = "# Page\n\nabove\n\n## A\n\nold a\n\n## B\n\nold b\n"


@pytest.mark.parametrize(
    ("new", "page"),
    [
        ("## B\n\nnew b\n", "# Page\n\nabove\n\n## A\n\nold a\n\n## B\n\nnew b\n"),
        ("## C\n\nnew c\n", OLD + "\n## C\n\nnew c\n"),
        ("# Page\n\nother\n\n## A\n\nnew a\n", "# Page\n\nother\n\n## A\n\nnew a\n\n## B\n\nold b\n"),
    ],
)
def test_writing_one_section_leaves_the_others(new: str, page: str) -> None:
    assert sections.merged(OLD, new) == page
    assert sections.merged(page, new) == page


def test_every_section_of_the_page_stays_when_another_is_written() -> None:
    page = (SCRIPTS.parent / "docs" / "performance.md").read_text("utf-8")
    written = sections.merged(page, "## Nobody's section\n\ntext\n")
    assert written.startswith(page.rstrip("\n"))


def test_the_small_benchmark_of_cover_runs(tmp_path: Path) -> None:
    words = ["--cells", "600", "--polygons", "12", "--work", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, SCRIPTS / "bench_cover.py", *words], capture_output=True, text=True, check=True
    )
    rows = dict(re.findall(r"(?m)^\| ([a-z, _]+) \| (.*) \|$", done.stdout))
    assert float(rows["geojw"].split(" | ")[0]) >= 0.0
    shares = [part.split(" / ")[1] for part in rows["exactextract"].split(" | ")[2:5] if part != "-"]
    assert shares
    assert all(float(apart) < 1e-5 for apart in shares), "they differ by the change of a cell's area only"
    assert rows["exactextract"].endswith("| 0")


def test_a_page_of_one_run_is_not_written_in_parts() -> None:
    words = [sys.executable, SCRIPTS / "bench.py", "--only", "one", "--write"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "--write goes without --only" in done.stderr
