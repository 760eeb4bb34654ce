"""What a rule may do to a site. Loaded by itself where no law is read."""

from __future__ import annotations

from typing import Literal

Effect = Literal["prohibit", "approval", "condition", "supervise", "inform"]
EFFECTS: tuple[str, ...] = ("clear", "inform", "supervise", "condition", "approval", "prohibit")
"""From the weakest to the strictest; the position is the rank."""
