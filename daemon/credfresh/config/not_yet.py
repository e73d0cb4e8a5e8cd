"""Keys that are known and whose work is not done. To enable one: delete its line here."""

from __future__ import annotations

from credfresh.config.echo import Path

NOT_YET: tuple[Path, ...] = (
    ("on_renew",),
    ("defaults", "on_renew"),
    ("profiles", "*", "on_renew"),
)
"""`*` is any name. Each must be absent from the models of `schema`."""


def is_not_yet(path: Path) -> bool:
    """Say whether the key at `path` is one that a later version will accept."""
    return any(
        len(path) == len(known)
        and all(k in ("*", part) for k, part in zip(known, path, strict=True))
        for known in NOT_YET
    )
