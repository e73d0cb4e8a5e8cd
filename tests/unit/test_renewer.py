"""One attempt, whatever the provider does."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from credfresh import renewer
from credfresh.errors import Mend, RenewalError, Scope
from credfresh.model import Grant, SessionCredentials
from credfresh.settings import Profile
from fakes import FakeClock, FakeProvider, failure, profile


def test_an_attempt_returns_the_grant() -> None:
    """What the provider grants comes back as it is."""
    clock = FakeClock()

    result = renewer.attempt(FakeProvider(clock), profile(), None)

    assert isinstance(result, Grant)
    assert profile().request == result.request


def test_an_attempt_returns_a_failure_and_does_not_raise_it() -> None:
    """It is kept for as long as the profile fails, so without the frames, which hold keys."""
    provider = FakeProvider(FakeClock())
    error = failure("Throttling")
    provider.fault = lambda _: error

    result = renewer.attempt(provider, profile(), None)

    assert error is result
    assert error.__traceback__ is None


@pytest.mark.parametrize(
    ("source", "parent", "asked"),
    [("engine", None, "engine"), ("ci", None, "sts"), ("engine", "parent", "sts")],
)
def test_the_provider_of_a_profiles_source_is_asked(
    source: str, parent: str | None, asked: str
) -> None:
    """A chained profile has its parent's keys instead, whatever source `defaults` names."""
    clock = FakeClock()
    providers = {"sts": FakeProvider(clock), "engine": FakeProvider(clock)}
    both = renewer.BySource(providers["sts"], {"engine": providers["engine"]})

    both.obtain(profile(source=source, source_profile=parent), None, lambda _: None)

    assert [asked] == [name for name, provider in providers.items() if provider.calls]


class Broken:
    """A provider that raises what it should not."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def obtain(
        self, profile: Profile, parent: SessionCredentials | None, waits: Callable[[Scope], None]
    ) -> Grant:
        raise self.error


@pytest.mark.parametrize("error", [KeyError("AssumeRoleResult"), ValueError("wJalr-secret")])
def test_an_unforeseen_error_of_a_provider_is_a_failed_attempt(error: Exception) -> None:
    """Time may mend it, it says nothing of others, and is told by its type and nothing else."""
    result = renewer.attempt(Broken(error), profile(), None)

    assert isinstance(result, RenewalError)
    assert type(error).__name__ == result.code
    assert (Mend.TIME, Scope.NONE) == (result.mend, result.scope)
    assert "secret" not in str(result)
    assert "at test_renewer.py:" in result.message
    assert result.__traceback__ is None
    assert result.__cause__ is None


def test_a_hung_attempt_is_evidence_about_what_it_waited_for() -> None:
    """The source is suspect while keys are looked up, and the endpoint from the call on."""
    progress = renewer.Progress()
    assert Scope.SOURCE is renewer.hung(progress).scope

    progress.tell(Scope.ENDPOINT)
    assert Scope.ENDPOINT is renewer.hung(progress).scope
    assert "60 s" in renewer.hung(progress).message


def test_a_child_waits_for_a_human_when_its_parent_does() -> None:
    """The parent's trouble decides who can mend the child's."""
    assert Mend.HUMAN is renewer.parent_unusable("p", failure(mend=Mend.HUMAN)).mend
    assert Mend.TIME is renewer.parent_unusable("p", None).mend
