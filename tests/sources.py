"""Shared by the tests of sources: keys as files and services give them, and a renewal with them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

import fakes
from aws_servers import ScriptedServer
from credfresh.errors import RenewalError, Scope
from credfresh.model import Grant, SessionCredentials
from credfresh.principals import Principal
from credfresh.settings import Profile, StsLimits
from credfresh.sts import StsProvider

Provide = Callable[..., StsProvider]


class ProviderAt(StsProvider):
    """A provider whose profiles ask one endpoint, unless they say another."""

    def __init__(
        self, url: str, sources: Mapping[str, Principal], limits: StsLimits, **rest: Any
    ) -> None:
        super().__init__(sources, limits, **rest)
        self._url = url

    def obtain(
        self,
        profile: Profile,
        parent: SessionCredentials | None,
        waits: Callable[[Scope], None] = lambda _: None,
    ) -> Grant:
        there = replace(profile, endpoint_url=profile.endpoint_url or self._url)
        return super().obtain(there, parent, waits)


def obtain(provider: StsProvider) -> Grant:
    """Renew one profile with the source `ci`."""
    return provider.obtain(fakes.profile(source="ci"), None)


def refused(provider: StsProvider, scope: Scope = Scope.SOURCE) -> RenewalError:
    """Return the error of the source, after checking its scope: SOURCE, or the endpoint it asks."""
    with pytest.raises(RenewalError) as failed:
        obtain(provider)
    error = failed.value
    assert scope == error.scope
    assert error.code.startswith("source_")
    assert error.message.startswith("source ci: ")
    assert error.hint
    return error


def denied(provider: StsProvider, code: str) -> None:
    """See STS refuse a renewal so."""
    with pytest.raises(RenewalError) as failed:
        obtain(provider)
    assert code == failed.value.code


def signers(sts: ScriptedServer) -> list[str]:
    """Return the key ids that signed the requests, in order."""
    return [request.key_id for request in sts.requests]


def keys(name: str, key_id: str, token: str | None = None) -> str:
    """Return a section with static keys."""
    rest = f"aws_session_token = {token}\n" if token else ""
    return f"[{name}]\naws_access_key_id = {key_id}\naws_secret_access_key = s\n{rest}"


def container_json(key_id: str, lifetime: float = 6 * 3600) -> str:
    """Return the JSON that both metadata services give."""
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + lifetime))  # noqa: TID251 - the server's clock
    return json.dumps(
        {"Code": "Success", "AccessKeyId": key_id, "SecretAccessKey": "s", "Token": "tok",
         "Expiration": at}
    )  # fmt: skip
