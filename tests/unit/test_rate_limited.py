"""The log stays readable, whatever happens to ten thousand profiles at once."""

from __future__ import annotations

from credfresh.life.rate_limited import MOST, WINDOW, RateLimited
from fakes import EventLog, FakeClock


def test_the_first_lines_of_a_kind_are_told_and_the_rest_counted() -> None:
    """After a minute one line says how many more there were, and which profile was the last."""
    clock, log = FakeClock(), EventLog()
    limited = RateLimited(log, clock)

    for number in range(1000):
        limited("renewal_failed", profile=f"p{number}")
    limited("publish_failed", path="/run/x")
    assert MOST == log.names().count("renewal_failed")
    assert 1 == log.names().count("publish_failed")
    limited.look(clock())
    assert "lines_withheld" not in log.names()
    clock.advance(WINDOW)
    limited.look(clock())

    expected = {"name": "renewal_failed", "lines": 1000 - MOST, "profile": "p999"}
    assert [expected] == log.of("lines_withheld")
    limited("renewal_failed", profile="p0")
    assert "renewal_failed" == log.names()[-1]


def test_withheld_lines_are_counted_at_the_end() -> None:
    """The lines withheld when the daemon stops are counted before it does, once."""
    clock, log = FakeClock(), EventLog()
    limited = RateLimited(log, clock)
    for _ in range(MOST + 7):
        limited("profile_expired", profile="p")

    limited.close()
    limited.close()

    assert [7] == [fields["lines"] for fields in log.of("lines_withheld")]


def test_withheld_lines_are_counted_before_the_first_line_of_the_next_minute() -> None:
    """Where the main thread was busy, the count comes before the next line."""
    clock, log = FakeClock(), EventLog()
    limited = RateLimited(log, clock)
    for _ in range(MOST + 7):
        limited("profile_expired", profile="p")
    clock.advance(WINDOW)
    limited("profile_expired", profile="p")

    assert ["lines_withheld", "profile_expired"] == log.names()[-2:]
    assert [7] == [fields["lines"] for fields in log.of("lines_withheld")]


def test_credentials_renewed_is_never_withheld() -> None:
    """No line with an access key id is withheld."""
    clock, log = FakeClock(), EventLog()
    limited = RateLimited(log, clock)

    for number in range(1000):
        limited("credentials_renewed", access_key_id=str(number))

    assert 1000 == len(log.of("credentials_renewed"))
