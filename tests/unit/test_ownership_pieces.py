"""How a publication becomes a piece, and what is read back from a file."""

from __future__ import annotations

import configparser
import io
from dataclasses import replace
from pathlib import Path

import pytest
from awscli.customizations.configure.writer import ConfigFileWriter  # type: ignore[import-untyped]  # no stubs

from credfresh.model import Grant, Instant, SessionCredentials
from credfresh.publication import Publication
from credfresh.settings import FileTarget, Profile, RenewBefore
from credfresh.splice import mark, ownership
from credfresh.splice.mark import Mark
from credfresh.splice.ownership import Owned
from pieces import INSTANCE, SECRET, block, merge, piece, pieces

PROFILE = Profile(
    name="production",
    section="prod",
    role_arn="arn:aws:iam::111111111111:role/deploy",
    role_session_name="credfresh",
    duration=3600,
    renew_before=RenewBefore(),
    region="eu-west-1",
    target=FileTarget("/run/credfresh/credentials"),
)
GRANT = Grant(
    credentials=SessionCredentials("ASIAEXAMPLE", SECRET, "token+/=", 1_795_525_200.0),
    sent_at=Instant(1_795_521_600.9, 5.0),
    lifetime=3600.0,
    asked=3600.0,
    request="0123456789abcdef",
)
MARK = Mark(
    instance="host",
    role="arn:aws:iam::111111111111:role/deploy",
    request="0123456789abcdef",
    issued=1_795_521_600,
    expires=1_795_525_200,
    key="ASIAEXAMPLE",
)


def test_a_grant_becomes_a_section() -> None:
    """Keys come in one order, times in whole seconds, and only what was asked for is written."""
    made = ownership.piece(Publication(PROFILE, GRANT), "host")
    assert ("prod", "production", MARK, False) == (
        made.section,
        made.profile,
        made.mark,
        made.adopt,
    )
    assert made.values == (
        ("aws_access_key_id", "ASIAEXAMPLE"),
        ("aws_secret_access_key", SECRET),
        ("aws_session_token", "token+/="),
        ("region", "eu-west-1"),
        ("x_security_token_expires", "2026-11-24T13:00:00Z"),
    )


def test_region_account_and_adoption_follow_the_profile() -> None:
    """The region is written only where it was configured, the account only where asked for."""
    profile = replace(PROFILE, publish_region=False, account_id=True, adopt=True)
    made = ownership.piece(Publication(profile, GRANT), "host")
    keys = [key for key, _ in made.values]
    assert "region" not in keys
    assert dict(made.values)["aws_account_id"] == "111111111111"
    assert made.adopt


def test_a_value_that_cannot_be_written_is_refused_without_repeating_it() -> None:
    """A token with a line end in it could inject a section."""
    evil = replace(GRANT.credentials, session_token=f"{SECRET}\n[default]")
    with pytest.raises(ValueError, match=r"^aws_session_token: ") as refused:
        ownership.piece(Publication(PROFILE, replace(GRANT, credentials=evil)), "host")
    assert SECRET not in str(refused.value)


def test_a_publication_without_a_grant_makes_no_piece() -> None:
    """Asking for one is a mistake of the caller, and raises ValueError."""
    with pytest.raises(ValueError, match="nothing in hand"):
        ownership.piece(Publication(PROFILE), "host")


def test_each_proven_section_of_ours_is_read_back() -> None:
    """A warm restart finds each proven section with its mark and values, and nobody else's."""
    ours, other = piece("prod"), piece("stage", instance="other")
    altered = block(piece("dev")).replace(SECRET, "edited")
    document = ownership.read((block(ours) + block(other) + altered + "[z]\nk = v\n").encode())
    assert (Owned("prod", ours.mark, dict(ours.values)),) == ownership.owned(document, INSTANCE)


def test_a_proven_section_that_lacks_a_field_is_passed_over() -> None:
    """A start does not fail over what another version, or somebody, wrote with a right sum."""
    told = block(piece("prod")).replace(" role=", " rolle=").encode()
    document = ownership.read(mark.with_line_end(told, "") + block(piece("dev")).encode())
    assert document.sections[1].label is not None
    assert ["dev"] == [each.section for each in ownership.owned(document, INSTANCE)]


def test_credentials_that_were_read_back_need_no_write() -> None:
    """A restarted daemon that believes the marks finds nothing to write."""
    ours = piece("prod", region="eu-west-1")
    standing = merge(b"[a]\nk = v", pieces(ours))
    (found,) = ownership.owned(ownership.read(standing.data), INSTANCE)
    again = piece("prod", region="eu-west-1")
    assert (found.mark, found.values) == (again.mark, dict(again.values))
    assert standing.data == merge(standing.data, pieces(again)).data


def test_the_size_of_the_foreign_part_is_known() -> None:
    """The foreign part is all that is not provably ours, which a rival may have cut short."""
    foreign = b"[a]\nk = v\n"
    document = merge(foreign, pieces(piece("prod"), piece("stage"))).document
    assert len(foreign) == ownership.foreign_size(document, INSTANCE)
    assert len(document.data) == ownership.foreign_size(document, "other")


def test_flaws_keep_their_lines_as_sections_come_and_go() -> None:
    """After a merge each flaw names its line in the new bytes."""
    document = merge(b"[a]\nstray\n", pieces(piece("dev"))).document
    document = ownership.read(document.data + b"[z]\nk\n")
    outcome = merge(document, pieces(piece("dev"), piece("prod")))
    assert [2, 10] == [flaw.line for flaw in outcome.flaws]
    outcome = merge(outcome.document, pieces(piece("prod")))
    assert [2, 4] == [flaw.line for flaw in outcome.flaws]
    assert outcome.flaws == merge(outcome.data, pieces(piece("prod"))).flaws


def test_a_key_that_the_aws_cli_sets_in_our_section_stays(tmp_path: Path) -> None:
    """`aws configure set` writes among our lines: its key stays, ours are made whole."""
    ours, other = piece("prod"), piece("stage")
    path = tmp_path / "credentials"
    path.write_text("# top\n" + block(ours) + block(other) + "[z]\nk = v\n")
    writer = ConfigFileWriter()
    writer.update_config({"__section__": "prod", "output": "json"}, str(path))
    writer.update_config({"__section__": "stage", "aws_session_token": "pasted"}, str(path))
    outcome = merge(path.read_bytes(), pieces(ours, other))
    expected = "# top\n" + block(ours) + "output = json\n" + block(other) + "[z]\nk = v\n"
    assert expected == outcome.data.decode()
    assert () == outcome.refused


def test_our_sections_are_recognised_after_a_rewrite_without_comments() -> None:
    """A rewrite by configparser loses every mark: sections are known again by our keys."""
    ours = pieces(piece("prod"), piece("stage"))
    rival = configparser.RawConfigParser()
    rival.read_string("[a]\nk = v\n" + "".join(map(block, ours.values())))
    rival.set("a", "k", "w")
    text = io.StringIO()
    rival.write(text)
    known = {each.mark.key for each in ours.values()}
    outcome = merge(text.getvalue().encode(), ours, issued=known)
    assert ("prod", "stage") == outcome.repaired
    blocks = [block(each) for each in ours.values()]
    assert "[a]\nk = w\n\n" + "\n".join(blocks) + "\n" == outcome.data.decode()
