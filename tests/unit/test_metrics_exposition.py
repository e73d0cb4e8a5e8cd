"""The metrics: names, series from the start, and no more than was asked for."""

from __future__ import annotations

import math
import re

from prometheus_client.parser import text_string_to_metric_families

from credfresh.metrics.exposition import render
from credfresh.metrics.view import View
from fakes import EPOCH
from views import figures, view

PER_PROFILE = {
    "credfresh_credential_expiration_timestamp_seconds",
    "credfresh_credential_renewal_timestamp_seconds",
    "credfresh_credential_last_success_timestamp_seconds",
    "credfresh_consecutive_failures",
    "credfresh_renewals_total",
}
ONCE = {
    "credfresh_profiles",
    "credfresh_file_writes_total",
    "credfresh_healthy",
    "credfresh_ready",
    "credfresh_file_last_write_timestamp_seconds",
    "credfresh_config_reload_success",
    "credfresh_scheduler_lag_seconds",
    "credfresh_clock_skew_seconds",
    "credfresh_snapshot_timestamp_seconds",
    "credfresh_build_info",
}


def samples(shown: View) -> dict[str, dict[tuple[str, ...], float]]:
    """Return every sample by name and label values, as Prometheus's own parser reads them."""
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(render(shown).decode()):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return found


def test_every_metric_is_there_and_no_other() -> None:
    """The names are an interface, and metrics of the process have our prefix too."""
    names = set(samples(view(figures())))

    assert PER_PROFILE | ONCE == {n for n in names if not n.startswith("credfresh_process_")}
    assert "credfresh_process_resident_memory_bytes" in names


def test_a_profile_without_credentials_has_its_series() -> None:
    """From the start it has every series; a time that never was is 0, so alerts see it."""
    found = samples(view(figures("new", "missing")))

    assert all([("new",)] == list(found[n]) for n in PER_PROFILE - {"credfresh_renewals_total"})
    assert {0.0} == {
        found[f"credfresh_credential_{n}_timestamp_seconds"][("new",)]
        for n in ("expiration", "renewal", "last_success")
    }
    assert 4 == len(found["credfresh_renewals_total"])


def test_the_figures_of_a_profile_are_those_of_the_view() -> None:
    """Expiration, renewal, last success, failures and attempts are those of the view."""
    found = samples(view(figures(failures=2)))
    profile = ("production",)

    assert EPOCH + 2400 == found["credfresh_credential_expiration_timestamp_seconds"][profile]
    assert EPOCH + 480 == found["credfresh_credential_renewal_timestamp_seconds"][profile]
    assert EPOCH - 1200 == found["credfresh_credential_last_success_timestamp_seconds"][profile]
    assert 2 == found["credfresh_consecutive_failures"][profile]
    renewals = found["credfresh_renewals_total"]
    assert (3, 2) == (renewals["production", "success"], renewals["production", "transient"])


def test_a_profile_that_is_missing_on_disk_has_no_expiration() -> None:
    """What the file lost does not look published, though the daemon has it in hand."""
    lost = figures()._replace(state="missing")

    found = samples(view(lost))

    assert {0.0} == set(found["credfresh_credential_expiration_timestamp_seconds"].values())
    assert 0 == found["credfresh_healthy"][()]


def test_an_unknown_skew_is_nan() -> None:
    """Before the first answer of STS the skew is NaN, which no alert compares."""
    assert math.isnan(samples(view(figures()))["credfresh_clock_skew_seconds"][()])


def test_there_are_no_created_series() -> None:
    """Each counter is one series, not two."""
    assert b"_created" not in render(view(figures()))


def test_a_profile_name_cannot_break_the_format() -> None:
    """Quotes and backslashes of a name are escaped."""
    found = samples(view(figures('a"b\\c d')))

    assert [('a"b\\c d',)] == list(found["credfresh_consecutive_failures"])


def test_no_arn_and_no_key_id_is_in_the_metrics() -> None:
    """Every process of the host may read the metrics, so `detail` adds nothing to them."""
    text = render(view(figures(failures=1), detail=True)).decode()

    assert not re.search(r"arn:|[0-9]{12}:|ASIA|AccessDenied|authorized", text)
