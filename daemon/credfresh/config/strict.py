"""What every mapping of the file has in common."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


class Strict(BaseModel):
    """A mapping of known keys and no others."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        defer_build=True,  # the whole file's validator holds all others, and is built once
    )

    def given(self) -> dict[str, Any]:
        """Return the values of the keys that the file sets; the others have their defaults."""
        return {key: value for key, value in self if value is not None}
