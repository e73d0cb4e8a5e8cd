"""Configurations for tests, and what parsing them gives."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

from credfresh.config.parse import parse
from credfresh.errors import ConfigError, Problem
from credfresh.settings import Profile, Settings

ROLE = "arn:aws:iam::111111111111:role/deploy"

TOP = "credentials_file: {path: /run/credfresh/credentials}\n"


def one_profile(keys: str = "", *, top: str = "", defaults: str = "{region: eu-west-1}") -> str:
    """Return a configuration with the profile `production`, with more keys in it or at the top."""
    extra = textwrap.indent(textwrap.dedent(keys).strip("\n"), "    ")
    return (
        f"{TOP}{textwrap.dedent(top)}defaults: {defaults}\n"
        f"profiles:\n  production:\n    role_arn: {ROLE}\n{extra}\n"
    )


def profiles(text: str, *, top: str = "", defaults: str = "{region: eu-west-1}") -> str:
    """Return a configuration with these profiles, `ROLE` standing for the ARN of a role."""
    body = textwrap.indent(textwrap.dedent(text).strip("\n"), "  ").replace("ROLE", f"'{ROLE}'")
    return f"{TOP}{textwrap.dedent(top)}defaults: {defaults}\nprofiles:\n{body}\n"


def accepted(
    text: str | bytes, environment: Mapping[str, str] | None = None, **more: Any
) -> Settings:
    """Parse a configuration that is to be accepted, on the host `build-7`."""
    data = text.encode() if isinstance(text, str) else text
    more.setdefault("hostname", "build-7")
    more.setdefault("resolve", str)
    return parse(data, more.pop("source", "c.yaml"), environment=environment, **more)


def production(text: str, environment: Mapping[str, str] | None = None) -> Profile:
    """Parse a configuration that is to be accepted, and return its profile `production`."""
    return accepted(text, environment).profiles["production"]


def refused(
    text: str | bytes, environment: Mapping[str, str] | None = None, **more: Any
) -> tuple[Problem, ...]:
    """Parse a configuration that is to be refused, and return its problems."""
    try:
        settings = accepted(text, environment, **more)
    except ConfigError as error:
        return error.problems
    raise AssertionError(f"accepted: {settings}")


def only_problem(
    text: str | bytes, environment: Mapping[str, str] | None = None, **more: Any
) -> Problem:
    """Parse a configuration that is to be refused for one reason, and return it."""
    problems = refused(text, environment, **more)
    assert len(problems) == 1, "\n".join(map(str, problems))
    return problems[0]
