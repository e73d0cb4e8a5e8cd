"""Values that cannot be changed, as far as the type checker sees.

A value that Python itself protects (`frozen=True` of `dataclasses`) takes ten times as long to
make, and a start with ten thousand profiles makes a hundred thousand of them: a tenth of its time.
mypy refuses every assignment to one all the same.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

__all__ = ["dataclass"]

if TYPE_CHECKING:
    from dataclasses import dataclass
else:

    def dataclass(*, frozen: bool = False, **options: bool) -> Callable[[type], type]:
        """Make a dataclass; a `frozen` one has a hash, as `dataclasses` gives it."""

        def make(cls: type) -> type:
            made = dataclasses.dataclass(**options)(cls)
            if frozen and made.__hash__ is None:
                compared = [each.name for each in dataclasses.fields(made) if each.compare]
                made.__hash__ = _hash(compared)
            return made

        return make


def _hash(names: Sequence[str]) -> Callable[[Any], int]:
    """Return what `dataclasses` would compile, for each class and at every start."""
    return lambda value: hash(tuple([getattr(value, name) for name in names]))
