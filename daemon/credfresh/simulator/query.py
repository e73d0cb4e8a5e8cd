"""The AWS query protocol: parameters in a form body or in the query string.

`Tags.member.1.Key=…` are lists: members are numbered from 1 and taken in numeric order.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import field
from urllib.parse import parse_qsl

from credfresh.simulator.wire import HttpRequest
from credfresh.values import dataclass

_MEMBER = re.compile(r"(?P<list>[A-Za-z]+)\.member\.(?P<number>[1-9][0-9]{0,4})(?P<rest>\..+)?")


@dataclass(frozen=True, slots=True)
class Query:
    """The parameters of one request; values are kept out of `repr` (a token may be one)."""

    parameters: Mapping[str, str] = field(repr=False)

    @property
    def action(self) -> str:
        """The name of the operation, or an empty string."""
        return self.parameters.get("Action", "")

    @property
    def role_arn(self) -> str | None:
        """The role that the request names, if any."""
        return self.parameters.get("RoleArn")

    def text(self, name: str) -> str | None:
        """Return one parameter as it was sent."""
        return self.parameters.get(name)

    def members(self, name: str) -> tuple[Mapping[str, str], ...]:
        """Return a list parameter: each member's fields; a plain member's field is ""."""
        found: dict[int, dict[str, str]] = {}
        for key, value in self.parameters.items():
            match = _MEMBER.fullmatch(key)
            if match and match["list"] == name:
                rest = (match["rest"] or "").removeprefix(".")
                found.setdefault(int(match["number"]), {})[rest] = value
        return tuple(found[number] for number in sorted(found))


def parse(request: HttpRequest) -> Query:
    """Read the parameters of a request; those of the body override those of the query string.

    A body that is no form data gives no parameters, as with the real service.
    """
    _, _, query = request.target.partition("?")
    parameters = dict(parse_qsl(query, keep_blank_values=True))
    if request.method == "POST":
        form = request.body.decode("utf-8", "replace")
        parameters |= parse_qsl(form, keep_blank_values=True)
    return Query(parameters)
