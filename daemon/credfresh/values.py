"""Values that cannot be changed, as far as the type checker sees.

A value that Python itself protects (`frozen=True` of `dataclasses`) takes ten times as long to
make, and a start with ten thousand profiles makes a hundred thousand of them: a tenth of its time.
mypy refuses every assignment to one all the same.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

__all__ = ["dataclass"]

if TYPE_CHECKING:
    from dataclasses import dataclass
else:

    def dataclass(*, frozen: bool = False, **options: bool) -> Callable[[type], type]:
        """Make a dataclass; what is `frozen` is compared and hashed so, and not protected."""

        def make(cls: type) -> type:
            made = dataclasses.dataclass(**options)(cls)
            if frozen:
                made.__hash__ = _hash
            return made

        return make


def _hash(value: Any) -> int:
    """Return what `dataclasses` would; few values are keys, and it compiles a method for each."""
    compared = [each.name for each in dataclasses.fields(value) if each.compare]
    return hash(tuple([getattr(value, name) for name in compared]))
