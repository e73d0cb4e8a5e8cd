"""Values that cannot be changed, as far as the type checker sees.

A value that Python itself protects (`frozen=True` of `dataclasses`) takes ten times as long to
make, and a start with ten thousand profiles makes a hundred thousand of them: a tenth of its time.
mypy refuses every assignment to one all the same.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING

__all__ = ["dataclass"]

if TYPE_CHECKING:
    from dataclasses import dataclass
else:

    def dataclass(*, frozen: bool = False, **options: bool) -> Callable[[type], type]:
        """Make a dataclass; what is `frozen` is compared and hashed so, and not protected."""
        return dataclasses.dataclass(unsafe_hash=frozen, **options)
