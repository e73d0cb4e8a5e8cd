"""Writes the starter as YAML, with comments, so that `credfresh check` accepts it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from credfresh.config import arn, words
from credfresh.errors import ConfigError
from credfresh.starter.aws_files import AwsProfiles
from credfresh.starter.unattended import Draft, Judge, Line, Source
from credfresh.values import dataclass

Check = Callable[[str], object]
"""Takes a configuration; raises ConfigError if it is not valid."""

DEFAULT_REGION = "us-east-1"

# Matches nothing that YAML 1.1 or 1.2 takes for a number, a time or a mapping; durations match.
_PLAIN = re.compile(r"[A-Za-z/](?:[A-Za-z0-9_./+=,@:*-]*[A-Za-z0-9_./+=,@*-])?|[0-9]{1,5}[smh]")
_WORDS = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}

_HEADER = """\
# A starter configuration for credfresh, made by `credfresh init` from
{files}
# Read it through, save it as /etc/credfresh/credfresh.yaml, and try each role:
#
#   credfresh check --online --config FILE
{left_out}
# The file that build agents read. Its directory must exist; nobody else may write there.
credentials_file:
  path: /run/credfresh/credentials
"""

_EXAMPLE = """\
profiles:
  # No role that can be assumed unattended was found: this one is an example.
  production:
    role_arn: arn:{partition}:iam::111111111111:role/deploy
"""


@dataclass(frozen=True, slots=True)
class Starter:
    """The configuration, the profiles in it, and those that were left out, with the reasons."""

    text: str
    profiles: tuple[str, ...]
    left_out: tuple[tuple[str, str], ...]


def starter(found: AwsProfiles, paths: Sequence[str], check: Check) -> Starter:
    """Write a configuration with every role that can be assumed without a person.

    `paths` are the files that were read. Roles that `check` does not accept are left out, with the
    reason, so that it accepts the whole.
    """
    judge = Judge(found.profiles)
    drafts = judge.drafts()
    region, whence = _region(found)
    while True:
        drafts = _consistent(drafts)
        text = _rendered(drafts, judge.sources, paths, region, whence)
        refused = _refused(text, check)
        if not refused:
            break
        fewer = [_without(draft, refused) for draft in drafts]
        if fewer == drafts:
            raise AssertionError(refused)  # pragma: no cover  # each comes from a draft
        drafts = fewer
    good = tuple(draft.name for draft in drafts if draft.why_not is None)
    left_out = tuple((d.name, d.why_not) for d in drafts if d.why_not is not None)
    return Starter(text, good, left_out)


def _region(found: AwsProfiles) -> tuple[str, str]:
    """Return the region for the profiles that name none, and where it comes from."""
    regions = {
        name: region
        for name, profile in found.profiles.items()
        if words.is_of_aws(region := profile.settings.get("region", ""))
    }
    if "default" in regions:
        return regions["default"], "that of [default]"
    if named := list(regions.values()):
        return max(named, key=named.count), "the one that most profiles name"
    return DEFAULT_REGION, "none was found: say yours"


def _refused(text: str, check: Check) -> dict[str, str]:
    """Return the entries that are refused, as `profiles NAME` or `sources NAME`, with the reasons.

    Raises:
        ConfigError: the text is not valid, and no profile or source is the reason.
    """
    try:
        check(text)
    except ConfigError as error:
        refused: dict[str, str] = {}
        lines = text.splitlines()
        for problem in error.problems:
            name = _named_above(lines, problem.line)
            if name is not None and name.startswith(("profiles ", "sources ")):
                refused.setdefault(name, f"{problem.path.rpartition('.')[2]}: {problem.reason}")
        if not refused:
            raise
        return refused
    return {}


def _named_above(lines: Sequence[str], line: int) -> str | None:
    """Return the entry that a line belongs to, as `profiles NAME` or `sources NAME`."""
    entry = None
    for text in reversed(lines[:line]):
        if entry is None and (match := re.match(r"  (\S.*):(?: |$)", text)):
            entry = match[1]
        elif match := re.match(r"(\w+):", text):
            return f"{match[1]} {entry}" if entry is not None else None
    return None


def _without(draft: Draft, refused: dict[str, str]) -> Draft:
    if draft.why_not is not None:
        return draft
    why = refused.get(f"profiles {scalar(draft.name)}")
    if why is None and draft.source is not None:
        why = refused.get(f"sources {draft.source}")
    return draft if why is None else replace(draft, why_not=why)


def _rendered(
    drafts: Sequence[Draft],
    sources: dict[str, Source],
    paths: Sequence[str],
    region: str,
    whence: str,
) -> str:
    good = [draft for draft in drafts if draft.why_not is None]
    left_out = [draft for draft in drafts if draft.why_not is not None]
    files = (
        "\n".join(f"#   {_comment(path)}" for path in paths) or "#   nothing: no AWS file is there"
    )
    parts = [_HEADER.format(files=files, left_out=_left_out(left_out))]
    used = [s for s in sources.values() if any(d.source == s.name for d in good)]
    if used:
        parts.append("# The principals that may assume the roles.\nsources:\n" + _sources(used))
    # The comment has a line of its own, so that an odd region cannot run into it.
    parts.append(f"defaults:\n  # {whence}\n  region: {scalar(region)}\n")
    if good:
        parts.append("profiles:\n" + "\n".join(_profile(draft) for draft in good))
    else:
        parts.append(_EXAMPLE.format(partition=arn.partition_of_region(region)))
    roles = [draft for draft in left_out if draft.lines]
    if roles:
        parts.append(
            "  # Left out: see above. With a source that works unattended, remove the `#`.\n"
            + "".join(_commented(_profile(draft)) for draft in roles)
        )
    return "\n".join(parts)


def _consistent(drafts: Sequence[Draft]) -> list[Draft]:
    """Leave out the drafts that are chained to one that is left out."""
    by_name: dict[str | None, Draft] = {draft.name: draft for draft in drafts}
    settled: list[Draft] = []
    for draft in drafts:
        parent = by_name.get(draft.parent)
        while parent is not None and draft.why_not is None:
            if parent.why_not is not None:
                draft = replace(draft, why_not=f"its source_profile {parent.name} is left out")  # noqa: PLW2901 - the outcome
            parent = by_name.get(parent.parent)
        settled.append(draft)
    return settled


def _left_out(drafts: Iterable[Draft]) -> str:
    lines = [f"#   {_comment(draft.name)}: {_comment(str(draft.why_not))}" for draft in drafts]
    if not lines:
        return ""
    return "\n".join(["#", "# Left out:", *lines, ""])


def _sources(sources: Iterable[Source]) -> str:
    text = ""
    for source in sources:
        text += "".join(f"  # {_comment(remark)}\n" for remark in source.remarks)
        text += f"  {source.name}:\n" + _lines(source.lines)
    return text


def _profile(draft: Draft) -> str:
    remarks = "".join(f"  # {_comment(remark)}\n" for remark in draft.remarks)
    return f"{remarks}  {scalar(draft.name)}:\n" + _lines(draft.lines)


def _lines(lines: Iterable[Line]) -> str:
    text = ""
    for line in lines:
        remark = f"  # {_comment(line.remark)}" if line.remark else ""
        match line.value:
            case str(word):
                value = f" {word}" if line.value == "true" else f" {scalar(word)}"
            case tuple(words):
                value = " [" + ", ".join(_quoted(word) for word in words) + "]"
            case pairs:
                value = "".join(f"\n      {key}: {scalar(word)}" for key, word in pairs.items())
        text += f"    {line.key}:{value}{remark}\n"
    return text


def _commented(text: str) -> str:
    return "".join(re.sub(r"^  ", "  #", line) for line in text.splitlines(keepends=True))


def scalar(text: str) -> str:
    """Return a text so that YAML reads it back: plain if that is unambiguous, else quoted."""
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    return _quoted(text)


def _quoted(text: str) -> str:
    # Of what JSON escapes, YAML does not know the halves of a character beyond U+FFFF.
    return json.dumps(text, ensure_ascii=not text.isprintable())


def _comment(text: str) -> str:
    """Return a text for a comment, without characters that could end its line."""
    return "".join(c if c.isprintable() else "?" for c in text)
