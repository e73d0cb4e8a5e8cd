"""The search for credentials keeps the order of the SDK's own."""

from __future__ import annotations

from pathlib import Path

import pytest
from botocore.config import Config
from botocore.credentials import CredentialResolver, create_credential_resolver

from credfresh.sts import chain
from credfresh.sts.processes import BoundedProcess

BEYOND_FILES = {"env", "ec2-credentials-file", "boto-config", "container-role", "iam-role"}


def starts(*_: object, **__: object) -> BoundedProcess:
    """Start nothing."""
    raise AssertionError


@pytest.fixture
def file(tmp_path: Path) -> str:
    """Return a file with a profile called `build`."""
    path = tmp_path / "config"
    path.write_text("[profile build]\nregion = eu-west-1\n")
    return str(path)


def methods(found: CredentialResolver) -> list[str | None]:
    """Return the links of a chain, in order."""
    return [link.METHOD for link in found.providers]


@pytest.mark.parametrize("led", [None, "build"])
def test_the_default_chain_has_the_links_of_the_sdks_in_its_order(
    monkeypatch: pytest.MonkeyPatch, file: str, led: str | None
) -> None:
    """Whatever a newer SDK adds is in there, too."""
    monkeypatch.setenv("AWS_CONFIG_FILE", file)
    if led:
        monkeypatch.setenv("AWS_PROFILE", led)
    session = chain.session_of(None, "eu-west-1", Config())
    ours = chain.resolver(session, {}, starts, beyond_files=True)
    assert methods(create_credential_resolver(session)) == methods(ours)


def test_the_chain_of_a_named_profile_ends_at_its_files(file: str) -> None:
    """It has the links of the SDK's that read the profile, and none beyond."""
    session = chain.session_of(chain.NamedProfile("build", file, file), "eu-west-1", Config())
    ours = chain.resolver(session, {}, starts, beyond_files=False)
    of_files = [m for m in methods(create_credential_resolver(session)) if m not in BEYOND_FILES]
    assert of_files == methods(ours)


def test_clients_of_the_session_have_no_other_chain() -> None:
    """The SDK makes clients in the course of a search, which may ask their session for keys."""
    session = chain.session_of(None, "eu-west-1", Config())
    ours = chain.resolver(session, {}, starts, beyond_files=True)
    assert ours is session.get_component("credential_provider")
