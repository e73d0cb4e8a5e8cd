"""Commands that are run after credentials were renewed (`on_renew`)."""

from __future__ import annotations

from credfresh.hooks.attendant import Hooks

__all__ = ["Hooks"]
