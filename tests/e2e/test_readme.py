"""The README is true: its commands run, and its blocks are what they claim to be.

After a change of a command's help run this module with UPDATE_README=1, and read the difference.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from credfresh.cli.exits import Exit
from host import COMMAND, Host

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
HELP = re.compile(r"(?<=<!-- credfresh --help -->\n```\n).+?(?=^```)", re.MULTILINE | re.DOTALL)


def text() -> str:
    """Return the text of the README."""
    return README.read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """Return the code blocks of a language."""
    return re.findall(rf"(?ms)^```{language}\n(.*?)^```", text())


def test_the_help_is_what_the_command_prints() -> None:
    """The `--help` block is what the command prints."""
    printed = subprocess.run(
        [COMMAND, "--help"],
        env={"PATH": os.environ["PATH"], "COLUMNS": "80", "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    if os.environ.get("UPDATE_README"):
        README.write_text(HELP.sub(lambda _: printed, text(), count=1), encoding="utf-8")
    assert [printed] == HELP.findall(text())


def test_the_sample_is_the_one_that_is_shipped() -> None:
    """The block is config/minimal.yaml, which another test runs."""
    sample = (ROOT / "config" / "minimal.yaml").read_text(encoding="utf-8")
    assert f"<!-- config/minimal.yaml -->\n```yaml\n{sample}```\n" in text()
    assert [sample] == blocks("yaml")


def test_the_exit_statuses_are_those_of_the_commands() -> None:
    """The table has every exit status, in order, and no other."""
    table = text().partition("| exit status |")[2].partition("\n\n")[0]
    assert [int(status) for status in Exit] == [
        int(number) for number in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)
    ]


def test_the_set_up_commands_are_part_of_ci_run() -> None:
    """The two commands that set up an environment are part of `.ci/run`."""
    gates = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    first = [block for block in blocks("sh") if block.startswith("sh .ci/")]
    assert ["sh .ci/demo\n", "sh .ci/test\n"] == first
    for block in first:
        assert block.strip() in gates


@pytest.mark.parametrize(
    "block", [block for block in blocks("sh") if not block.startswith("sh .ci/")]
)
def test_the_commands_of_the_readme_run(host: Host, block: str) -> None:
    """Each block succeeds in a shell where the configuration is and `once` has run."""
    assert 0 == host.start("once").wait()
    script = block.replace("/run/credfresh/credentials", str(host.credentials))
    result = subprocess.run(
        ["sh", "-eu", "-c", script],
        cwd=host.root,
        env=host.environment
        | {
            "PATH": f"{Path(COMMAND).parent}:{os.environ['PATH']}",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_REGION": "eu-west-1",
        },
        capture_output=True,
        stdin=subprocess.DEVNULL,
        text=True,
        timeout=100,
        check=False,
    )
    assert 0 == result.returncode, result.stdout + result.stderr
