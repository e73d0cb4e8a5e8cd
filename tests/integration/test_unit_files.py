"""What systemd's tools say of the files in systemd/, without a running systemd."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

SYSTEMD = Path(__file__).parent.parent.parent / "systemd"
UNIT = SYSTEMD / "credfresh.service"
DROP_INS = ("readers", "second-group", "source-key", "textfile")
COMMANDS = r"=/usr/(bin/credfresh|lib/credfresh/restart-delay)"
TYPE_RELOAD_SINCE = 253

pytestmark = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed"
)


def systemd_version() -> int:
    """Return the version of the installed systemd tools."""
    return int(analyze("--version").stdout.split()[1])


def lay_out(directory: Path, text: str, drop_in: str | None = None) -> Path:
    """Write the unit, with commands that exist here, and beside it a drop-in; return its path."""
    unit = directory / "credfresh.service"
    unit.write_text(
        re.sub(r"=/usr/(bin/credfresh|lib/credfresh/restart-delay)", "=/bin/true", text)
    )
    if drop_in is not None:
        beside = directory / "credfresh.service.d"
        beside.mkdir()
        shutil.copy(SYSTEMD / "drop-ins" / f"{drop_in}.conf", beside)
    return unit


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run systemd-analyze in a locale that has its symbols."""
    command = ["systemd-analyze", *arguments]
    plain = {**os.environ, "LC_ALL": "C.UTF-8", "SYSTEMD_COLORS": "0"}
    return subprocess.run(
        command, env=plain, capture_output=True, text=True, encoding="utf-8", check=False
    )


def verify(unit: Path) -> str:
    """Return all that `systemd-analyze verify` prints: it exits 0 for most mistakes."""
    result = analyze("verify", "--man=no", str(unit))
    return result.stderr + result.stdout + (f"rc={result.returncode}" if result.returncode else "")


@pytest.mark.parametrize("drop_in", [None, *DROP_INS])
def test_systemd_has_nothing_to_say_against_the_unit(tmp_path: Path, drop_in: str | None) -> None:
    """The unit, alone and with each drop-in, causes no message."""
    assert "" == verify(lay_out(tmp_path, UNIT.read_text(), drop_in))


def test_a_misspelled_directive_would_be_noticed(tmp_path: Path) -> None:
    """A misspelled directive, which systemd ignores, causes a message."""
    text = UNIT.read_text().replace("UMask=", "UMaks=")

    assert "UMaks" in verify(lay_out(tmp_path, text))


def test_the_drop_in_is_accepted_by_systemd_253(tmp_path: Path) -> None:
    """Version 253 accepts the drop-in; an earlier one only complains about `notify-reload`."""
    said = verify(lay_out(tmp_path, UNIT.read_text(), "notify-reload"))

    if systemd_version() >= TYPE_RELOAD_SINCE:
        assert "" == said
    else:
        assert 1 == len(said.splitlines())
        assert "notify-reload" in said


@pytest.mark.parametrize("drop_in", [None, *DROP_INS])
def test_the_exposure_is_small(tmp_path: Path, drop_in: str | None) -> None:
    """The exposure is at most 1.3 of 10 by systemd's own measure, also with each drop-in."""
    unit = lay_out(tmp_path, UNIT.read_text(), drop_in)
    result = analyze("security", "--offline=true", "--no-pager", "--threshold=13", str(unit))

    assert 0 == result.returncode, result.stdout


def test_a_unit_without_its_system_call_filter_exceeds_the_threshold(tmp_path: Path) -> None:
    """Without its system call filter the unit exceeds the threshold."""
    text = re.sub(r"^SystemCallFilter=.*\n", "", UNIT.read_text(), flags=re.MULTILINE)
    unit = lay_out(tmp_path, text)

    assert 0 != analyze("security", "--offline=true", "--threshold=13", str(unit)).returncode


def test_each_directive_that_stays_open_has_a_reason_in_the_unit(tmp_path: Path) -> None:
    """Comments of the unit that begin with Open name everything that systemd still marks."""
    unit = lay_out(tmp_path, UNIT.read_text())
    table = analyze("security", "--offline=true", "--no-pager", str(unit)).stdout
    faults = [line.split()[1] for line in table.splitlines() if line.startswith("✗")]
    reasons = " ".join(re.findall(r"^# Open: (.*)$", UNIT.read_text(), re.MULTILINE))

    assert len(faults) >= 4
    assert [] == [word for fault in faults for word in named(fault) if word not in reasons]


def named(fault: str) -> list[str]:
    """Return the directives or address families that a line of the table is about."""
    directives, _, families = fault.partition("=~AF_")
    if families:
        return [f"AF_{family}" for family in re.findall(r"\w+", families)]
    return re.findall(r"\w+=", directives)
