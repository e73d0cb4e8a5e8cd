"""Any edit of a configuration gives settings or ConfigError, and shows no secret."""

from __future__ import annotations

import re
import traceback
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from credfresh.config.parse import parse
from credfresh.errors import ConfigError
from credfresh.settings import Settings

EXAMPLE = Path(__file__).parents[3] / "config" / "credfresh.example.yaml"

CANARY = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYCANARYKEY1"
"""In the form of a secret access key: it must not be shown wherever it stands."""

QUIET = "canary-in-the-external-id"
"""In no form at all: it must not be shown because of where it stands."""


def _whole_example() -> str:
    text = EXAMPLE.read_text(encoding="utf-8")
    shown = re.sub(r"(?m)^( *)#(?! \S|$)", r"\1", text)
    shown = re.sub(r"(?m)^ *fips: true$", "", shown)
    return shown.replace("012345670123", QUIET).replace("--json", QUIET).replace("4711", QUIET)


LINES = _whole_example().splitlines()

EDITS = ("value", "key", "delete", "double", "swap", "indent", "insert", "cut")

ODD = st.sampled_from(
    [
        "", "~", "[]", "{}", "[[x]]", "{x: y}", "*x", "&x y", "!x y", "'", '"', "|", ">", "- x",
        "true", "0", "-1", "1e9", "12h", "13h", "1:30", "9" * 400, "x" * 3000, "\t", "\u00e9",
        "\u20ac", "\U0001f511", '"\\0"', '"\\e[31m"', '"\\ud800"', "default", "DEFAULT",
        "production", "audit", "/", "/x/", "~/x", "arn:aws:iam::111111111111:role/x", "<<", "?",
        "https://u:p@h", "http://[", "{a: {b: {c: [d]}}}", CANARY, f"[{CANARY}]",
        f"{{{CANARY}: {CANARY}}}", "'{\"Statement\": [" + CANARY + "]}'",
    ]
)  # fmt: skip


@st.composite
def mutants(draw: st.DrawFn) -> bytes:
    """Return the example after a few edits of the kinds that people and editors make."""
    lines = list(LINES)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(lines) - 1))
        other = draw(st.integers(0, len(lines) - 1))
        line = lines[at]
        match draw(st.sampled_from(EDITS)):
            case "value":
                lines[at] = re.sub(r": .*$", lambda _: ": " + draw(ODD), line)
            case "key":
                lines[at] = re.sub(r"[A-Za-z_-]+:", lambda _: draw(ODD) + ":", line, count=1)
            case "delete":
                lines[at] = ""
            case "double":
                lines.insert(at, line)
            case "swap":
                lines[at], lines[other] = lines[other], line
            case "indent":
                lines[at] = " " * draw(st.integers(0, 8)) + line.strip()
            case "insert":
                spot = draw(st.integers(0, len(line)))
                lines[at] = line[:spot] + draw(ODD) + line[spot:]
            case _:
                lines[at] = line[: draw(st.integers(0, len(line)))]
    data = "\n".join(lines).encode("utf-8", "surrogatepass")
    if draw(st.integers(0, 9)) == 0:
        spot = draw(st.integers(0, len(data)))
        data = data[:spot] + draw(st.binary(min_size=1, max_size=3)) + data[spot:]
    return data


def outcome(data: bytes) -> Settings | ConfigError:
    """Parse, and return what came of it; anything but ConfigError fails the test."""
    try:
        return parse(data, "c.yaml", hostname="build-7", resolve=str)
    except ConfigError as error:
        return error


def test_the_example_that_is_mutated_is_valid() -> None:
    """Otherwise the mutants would only find mistakes of the example."""
    assert isinstance(outcome("\n".join(LINES).encode()), Settings)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=mutants())
def test_a_mutated_file_gives_only_config_error_and_no_secret(data: bytes) -> None:
    """No other error is attached, no line has a secret, and positions are within the file."""
    error = outcome(data)
    if isinstance(error, Settings):
        assert error.profiles
        return
    said = "".join(traceback.format_exception(error)) + repr(error.problems)
    assert CANARY not in said
    assert QUIET not in said
    assert error.__context__ is None
    for problem in error.problems:
        assert 0 <= problem.line <= data.count(b"\n") + 2
        assert problem.reason.isprintable()
        assert problem.path.isprintable()
        assert (problem.hint or "").isprintable()


@settings(max_examples=100, deadline=None)
@given(data=st.one_of(st.binary(max_size=60), st.text("[]{}:-?&*!|>'\"%@`#,~ \n\tab", max_size=40)))
def test_any_noise_gives_a_config_error(data: bytes | str) -> None:
    """Bytes and YAML's own punctuation, in any order, give a ConfigError."""
    error = outcome(data.encode() if isinstance(data, str) else data)
    assert isinstance(error, ConfigError)
    assert error.problems
