"""Long-term keys on the host: in files, systemd credentials and the environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from aws_servers import Answer, ScriptedServer, grant_xml, scripted
from credfresh.answers import MOST_ANSWER
from credfresh.errors import Mend
from credfresh.principals import (
    DefaultChain,
    EnvironmentSource,
    FileSource,
    ProfileSource,
    SystemdCredentialSource,
)
from sources import Provide, keys, obtain, refused, signers


@pytest.mark.parametrize("section", ["ci", "profile ci"])
def test_a_named_file_may_spell_its_section_in_either_way(
    provide: Provide, sts: ScriptedServer, tmp_path: Path, section: str
) -> None:
    """The section may be spelled as in a credentials file or as in a config file."""
    path = tmp_path / "source"
    path.write_text(keys(section, "AKIAFILE"))
    obtain(provide(FileSource(str(path), "ci")))
    assert ["AKIAFILE"] == signers(sts)


def test_a_rotated_file_is_read_again(
    provide: Provide, sts: ScriptedServer, tmp_path: Path
) -> None:
    """New keys in the file sign the next request, without a restart."""
    path = tmp_path / "source"
    path.write_text(keys("ci", "AKIAOLD"))
    provider = provide(FileSource(str(path), "ci"))
    obtain(provider)
    other = tmp_path / "new"
    other.write_text(keys("ci", "AKIANEW"))
    other.rename(path)
    obtain(provider)
    path.unlink()
    gone = refused(provider)
    assert ("source_missing", True) == (gone.code, "no such file" in gone.message)
    path.write_text(keys("ci", "AKIABACK"))
    obtain(provider)
    assert ["AKIAOLD", "AKIANEW", "AKIABACK"] == signers(sts)


def test_a_named_file_never_falls_back(
    provide: Provide, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A section without keys fails, even if the environment or a container could provide some."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAENV")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:1/")
    path = tmp_path / "source"
    path.write_text("[ci]\nregion = eu-west-1\n")
    error = refused(provide(FileSource(str(path), "ci")))
    assert ("source_missing", Mend.HUMAN) == (error.code, error.mend)
    assert str(path) in error.message
    assert "profile ci" in error.message


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("[other]\n", "source_missing"),
        ("[ci]\naws_access_key_id = AKIAHALF\n", "source_incomplete"),
        ("[ci\n", "source_incomplete"),
        ("[ci]\naws_access_key_id =\naws_secret_access_key =\n", "source_missing"),
        ("[ci]\nrole_arn = arn:aws:iam::1:role/r\nmfa_serial = m\nsource_profile = ci\n",
         "source_needs_mfa"),
        ("[ci]\nrole_arn=arn:aws:iam::1:role/r\nsource_profile=up\n[up]\nrole_arn=x\nmfa_serial=m\n",
         "source_needs_mfa"),
    ],
)  # fmt: skip
def test_a_file_without_usable_keys_needs_a_human(
    provide: Provide, tmp_path: Path, text: str, code: str
) -> None:
    """Each flaw (no section, half a key, no INI, empty keys, MFA) has a code and needs a human."""
    path = tmp_path / "source"
    path.write_text(text)
    error = refused(provide(FileSource(str(path), "ci")))
    assert (code, Mend.HUMAN) == (error.code, error.mend)


@pytest.mark.parametrize("secret", ["one\n two", "one two", "\u00e9"])
def test_keys_that_cannot_be_sent_are_the_sources_fault(
    provide: Provide, sts: ScriptedServer, tmp_path: Path, secret: str
) -> None:
    """A key or token with line ends is the source's fault, and nothing is sent."""
    path = tmp_path / "source"
    path.write_text(keys("ci", "AKIAFILE", token=secret))
    error = refused(provide(FileSource(str(path), "ci")))
    assert ("source_unreadable", Mend.HUMAN) == (error.code, error.mend)
    assert "one two" not in f"{error.message} {error.hint}"
    assert [] == sts.requests


def test_a_profile_is_read_from_the_sdks_own_files(
    provide: Provide, sts: ScriptedServer, tmp_path: Path
) -> None:
    """The SDK's variables name the files, but AWS_PROFILE has no effect."""
    (tmp_path / "config").write_text("[profile build]\nregion = eu-west-1\n")
    (tmp_path / "credentials").write_text(keys("build", "AKIAPROFILE", "tok"))
    environ = {
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials"),
        "AWS_PROFILE": "something-else",
    }
    obtain(provide(ProfileSource("build"), environ))
    assert ["AKIAPROFILE"] == signers(sts)
    assert "tok" == sts.requests[0].headers["x-amz-security-token"]


def test_a_profile_may_assume_a_role_of_its_own(
    provide: Provide, sts: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A source profile may assume a role of its own, within the same attempt."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", sts.url)
    path = tmp_path / "source"
    path.write_text(
        "[profile ci]\nrole_arn = arn:aws:iam::111111111111:role/hop\nsource_profile = base\n"
        + keys("profile base", "AKIABASE")
    )
    sts.script = lambda r: Answer(body=grant_xml(key_id=f"ASIAFROM{r.key_id}"))
    provider = provide(FileSource(str(path), "ci"))
    obtain(provider)
    obtain(provider)
    assert ["AKIABASE", "ASIAFROMAKIABASE", "ASIAFROMAKIABASE"] == signers(sts)


def test_a_systemd_credential_is_read_as_a_credentials_file(
    provide: Provide, sts: ScriptedServer, tmp_path: Path
) -> None:
    """A systemd credential is a shared credentials file in $CREDENTIALS_DIRECTORY."""
    (tmp_path / "aws").write_text(keys("ci", "AKIASYSTEMD"))
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    obtain(provide(SystemdCredentialSource("aws", "ci"), environ))
    assert ["AKIASYSTEMD"] == signers(sts)


def test_without_a_credentials_directory_the_hint_names_the_directive(provide: Provide) -> None:
    """Without $CREDENTIALS_DIRECTORY the hint names the unit's directive."""
    error = refused(provide(SystemdCredentialSource("aws", "ci")))
    assert "source_missing" == error.code
    assert "LoadCredential=aws:" in str(error.hint)


def test_keys_and_token_are_read_from_the_environment(
    provide: Provide, sts: ScriptedServer
) -> None:
    """The daemon's own variables provide the keys, and the token if there is one."""
    environ = {
        "AWS_ACCESS_KEY_ID": "AKIAENV",
        "AWS_SECRET_ACCESS_KEY": "s",
        "AWS_SESSION_TOKEN": "tok",
    }
    obtain(provide(EnvironmentSource(), environ))
    assert ["AKIAENV"] == signers(sts)
    assert "tok" == sts.requests[0].headers["x-amz-security-token"]


def test_an_environment_without_keys_is_missing_and_with_half_a_key_incomplete(
    provide: Provide,
) -> None:
    """Without variables the source is missing, with half a key it is incomplete."""
    assert "source_missing" == refused(provide(EnvironmentSource())).code
    half = provide(EnvironmentSource(), {"AWS_ACCESS_KEY_ID": "AKIAENV"})
    assert "source_incomplete" == refused(half).code


def test_the_default_chain_follows_aws_profile_and_reads_changed_files_again(
    provide: Provide, sts: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AWS_PROFILE counts here, and changed files are read again."""
    shared = tmp_path / "credentials"
    shared.write_text(keys("build", "AKIACHAIN"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(shared))
    monkeypatch.setenv("AWS_PROFILE", "build")
    provider = provide(DefaultChain(), {"AWS_SHARED_CREDENTIALS_FILE": str(shared)})
    obtain(provider)
    shared.write_text(keys("build", "AKIACHAIN-NEXT"))
    obtain(provider)
    assert ["AKIACHAIN", "AKIACHAIN-NEXT"] == signers(sts)


def test_a_default_chain_without_credentials_hints_at_naming_a_source(provide: Provide) -> None:
    """If there are no credentials anywhere, the hint is to name a source."""
    error = refused(provide(DefaultChain()))
    assert ("source_missing", Mend.HUMAN) == (error.code, error.mend)
    assert error.message.endswith("default chain: not found"), "no file was named to be missed"
    assert str(error.hint).endswith("or name another `source`")


def test_the_hint_names_the_variables_that_lead_the_default_chain(
    provide: Provide, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hint quotes the variables that say where the SDK looks, if they are set."""
    shared = tmp_path / "credentials"
    shared.write_text(keys("build", "AKIACHAIN"))
    led = {"AWS_PROFILE": "biuld", "AWS_SHARED_CREDENTIALS_FILE": str(shared)}
    for name, value in led.items():
        monkeypatch.setenv(name, value)
    error = refused(provide(DefaultChain(), led))
    assert ("source_missing", Mend.HUMAN) == (error.code, error.mend)
    assert f"AWS_PROFILE=biuld, AWS_SHARED_CREDENTIALS_FILE={shared}" in str(error.hint)
    assert "AWS_CONFIG_FILE" not in str(error.hint)


def test_a_source_that_reads_what_we_write_is_refused(
    provide: Provide, tmp_path: Path, sts: ScriptedServer
) -> None:
    """A source with a key id that we issued reads what we write, and is refused."""
    path = tmp_path / "source"
    path.write_text(keys("ci", "ASIAOURS", "tok"))
    error = refused(provide(FileSource(str(path), "ci"), issued={"ASIAOURS"}.__contains__))
    assert ("source_own_output", Mend.HUMAN) == (error.code, error.mend)
    assert "ASIAOURS" in error.message
    assert [] == sts.requests


def test_an_answer_to_a_role_further_up_that_does_not_end_is_not_read(
    provide: Provide, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A profile may have the SDK assume a role first; what answers there is bounded as well."""
    (tmp_path / "config").write_text(
        "[profile ci]\nrole_arn = arn:aws:iam::1:role/r\nsource_profile = up\n"
        "[profile up]\naws_access_key_id = AKIAUP\naws_secret_access_key = s\n"
    )
    with scripted(lambda _: Answer(body="x" * (MOST_ANSWER + 1))) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", server.url)
        error = refused(provide(FileSource(str(tmp_path / "config"), "ci")))
    assert ("source_failed", Mend.TIME) == (error.code, error.mend)
    assert "it is longer than 1 MiB" in error.message
