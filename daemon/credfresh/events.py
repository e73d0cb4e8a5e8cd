"""Every event that is ever logged, with its level and its fields: an interface for operators.

`docs/events.md` says what each means and what to do. Tests hold the two equal, and fail on an
event that is not listed here.
"""

from __future__ import annotations

from typing import Literal, Protocol

from credfresh.values import dataclass

Level = Literal["debug", "info", "warning", "error"]


class Emit(Protocol):
    """Tells one event. Fields are plain values; one that is None is left out."""

    def __call__(self, event: str, /, **fields: object) -> None:
        """Emit `event` with `fields`."""


@dataclass(frozen=True, slots=True)
class Event:
    """One kind of event."""

    level: Level
    fields: frozenset[str]


def _event(level: Level, fields: str = "") -> Event:
    return Event(level, frozenset(fields.split()))


EVENTS: dict[str, Event] = {
    # The process.
    "daemon_started": _event("info", "version pid config instance profiles standing"),
    "start_refused": _event("error", "error hint"),
    "daemon_ready": _event("info", "settled"),
    "daemon_stopping": _event("info", "in_flight"),
    "daemon_stopped": _event("info", "clean"),
    "control_opened": _event("info", "path mode group"),
    "control_lost": _event("error", "path error hint"),
    "daemon_asked": _event("info", "path profiles failed"),
    "profiles_withdrawn": _event("warning", "profile profiles uid pid"),
    # The configuration. Its notices are logged once, when it is accepted.
    "config_refused": _event("error", "file line column path reason hint"),
    "config_reloaded": _event("info", "added removed changed needs_restart"),
    "config_reload_failed": _event("error", "problems first"),
    "short_session": _event("warning", "profile profiles duration_s"),
    "short_guarantee": _event("warning", "profile profiles guarantee_s"),
    "unusual_section_name": _event("warning", "profile profiles section"),
    "hook_needs_rights": _event("warning", "profile profiles command"),
    "calls_per_second_low": _event("warning", "calls_per_second needed_per_second"),
    "credentials_file_readable_by_all": _event("warning", "path mode"),
    "credentials_file_writable_by_group": _event("warning", "path mode"),
    # Renewal.
    "credentials_renewed": _event(
        "info", "profile role_arn access_key_id expiration renew_at lifetime_s guarantee_s"
    ),
    "renewal_failed": _event(
        "error", "profile role_arn code mend error hint retry_in_s expiration"
    ),
    "renewal_recovered": _event("info", "profile failures"),
    "endpoint_failed": _event("error", "endpoint profile code mend error hint"),
    "endpoint_recovered": _event("info", "endpoint"),
    "source_failed": _event("error", "source profile code mend error hint"),
    "source_recovered": _event("info", "source"),
    "grant_shortened": _event("warning", "profile granted_s asked_s"),
    "renew_before_clamped": _event(
        "warning", "profile profiles granted_s renew_before_s clamped_s"
    ),
    "profile_expired": _event("error", "profile expiration on_expired"),
    # Publishing.
    "file_published": _event("info", "path bytes took_ms"),
    "publish_failed": _event("error", "path step code error hint"),
    "publish_recovered": _event("info", "path"),
    "section_foreign": _event("error", "profile path reason hint"),
    "section_taken": _event("error", "profile path reason hint"),
    "section_unwritable": _event("error", "profile path reason hint"),
    "section_adopted": _event("warning", "path section"),
    "section_repaired": _event("warning", "path section"),
    "section_removed": _event("info", "path section"),
    "twin_removed": _event("info", "path twin"),
    "file_flawed": _event("warning", "path line code reason unreadable flaws"),
    "hard_linked": _event("warning", "path links"),
    "exchange_unsupported": _event("warning", "path"),
    "rival_write_recovered": _event("warning", "path"),
    "lock_held": _event("warning", "path pid"),
    "lock_unusable": _event("warning", "path"),
    # Commands that are run after renewals.
    "hook_ran": _event("info", "profile command took_ms output"),
    "hook_failed": _event("warning", "profile command error output"),
    # A fleet.
    "hub_leads": _event("info", "engine"),
    "hub_follows": _event("warning", "engine"),
    "hub_stands_down": _event("error", "engine"),
    "engine_failed": _event("error", "engine code mend error hint"),
    "engine_recovered": _event("info", "engine"),
    # Metrics, and the listeners of HTTP.
    "textfile_failed": _event("warning", "path step code error hint"),
    "textfile_recovered": _event("info", "path"),
    "listen_failed": _event("warning", "address error hint"),
    "listen_recovered": _event("info", "address"),
    # What should not happen.
    "attempt_abandoned": _event("error", "profile after_s"),
    "workers_exhausted": _event("error", "waiting"),
    "part_silent": _event("warning", "parts for_s limit_s"),
    "part_recovered": _event("info", "parts"),
    "watchdog_triggered": _event("error", "parts"),
    "provider_unusable": _event("error", "code hint"),
    "profile_orphaned": _event("warning", "profile"),
    "clock_jumped": _event("warning", "seconds"),
    "clock_skewed": _event("error", "skew_s"),
    "unexpected_error": _event("error", "where error_type frames"),
    "log_lines_lost": _event("warning", "lines"),
    "undeclared_event": _event("error", "name fields"),
    "lines_withheld": _event("warning", "name lines profile"),
    "library": _event("warning", "logger message error_type frames"),
}


def undeclared(event: str, fields: frozenset[str]) -> bool:
    """Say whether an event, or one of its fields, is not in the registry."""
    declared = EVENTS.get(event)
    return declared is None or not fields <= declared.fields
