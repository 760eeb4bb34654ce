"""A headless Chromium with every request out of a page blocked and noted, and every error."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
AXE = Path(os.environ.get("AXE_CORE", Path(__file__).parents[1] / "node_modules/axe-core/axe.min.js"))
READY = "html[data-ready=yes]"
OFFLINE = ("file:", "data:", "blob:")


class Visit:
    """A page opened from disk, with every request out of it blocked and noted, and every error."""

    def __init__(
        self, browser: Any, path: Path, width: int = 1280, anchor: str = "", answer: Any = None, ready: str = READY
    ) -> None:
        self.requests: list[str] = []
        self.errors: list[str] = []
        self.answer = answer
        self.context = browser.new_context(
            viewport={"width": width, "height": 844}, has_touch=width < 500, accept_downloads=True
        )
        self.context.route("**/*", self._note)
        self.page = self.context.new_page()
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", lambda said: self.errors.append(said.text) if said.type == "error" else None)
        self.page.goto(path.as_uri() + anchor)
        self.page.wait_for_selector(ready, state="attached", timeout=60_000)

    def _note(self, route: Any) -> None:
        if route.request.url.startswith(OFFLINE):
            route.continue_()
            return
        self.requests.append(route.request.url)
        if self.answer is None:
            route.abort()
        else:
            self.answer(route)

    def close(self) -> None:
        """Close it; nothing was fetched and nothing failed."""
        self.context.close()
        assert self.requests == []
        assert self.errors == []


def violations(page: Any) -> list[tuple[str, str]]:
    """What axe-core finds fault with."""
    page.evaluate(AXE.read_text("utf-8"))
    found = page.evaluate("axe.run(document, {resultTypes: ['violations'], preload: false})")["violations"]
    return [(each["id"], each["nodes"][0]["html"][:200]) for each in found]
