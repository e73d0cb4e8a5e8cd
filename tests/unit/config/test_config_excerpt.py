"""Three keys are read without the rest, as the whole parser reads them, in every spelling."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs import accepted
from credfresh.config.excerpt import Excerpt, excerpt
from credfresh.errors import ConfigError

ROOT = Path(__file__).parents[3]
REST = "profiles:\n  a: {role_arn: 'arn:aws:iam::111111111111:role/deploy', region: eu-west-1}\n"

SPELLINGS = [
    "credentials_file:\n  path: /run/c\ncontrol:\n  socket: /run/s\n",
    'credentials_file: {path: /run/c}\ncontrol: {socket: /run/s, mode: "0660"}\n',
    (
        "# a comment\n\ncontrol: # of ours\n\n  # why\n  mode: 0660  # who\n  socket: '/run/s'\n"
        '# between\ncredentials_file:\n  mode: "0600"\n  path: "/run/c"\n\n'
    ),
    "credentials_file :\r\n  path: /run/c\r\ncontrol : { socket : /run/s }\r\n",
    "---\ncredentials_file: {path: /run/c}\ncontrol: {socket: /run/s}\n",
    "\ufeffcredentials_file: {path: /run/c}\ncontrol: {socket: /run/s}\n",
    "credentials_file: {path: /run/c,\n  mode: '0600'}\ncontrol: {socket:\n  /run/s}\n",
    '"credentials_file": {"path": "/run/c"}\n"control": {"socket": "/run/s"}\n',
    'credentials_file: {path: "\\x2frun/c"}\ncontrol: {socket: "/run\\/s"}\n',
    "credentials_file:\n  path:\n    /run/c\ncontrol:\n  ? socket\n  : /run/s\n",
    "instance: x\ncredentials_file:\n  path: /run/c\n\ncontrol:\n  socket: >-\n    /run/s\n",
]  # fmt: skip


def looked_at(text: str | bytes, directory: Path, **environment: str) -> Excerpt:
    """Take the excerpt of a configuration that holds this text."""
    path = directory / "credfresh.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return excerpt(str(path), environment)


@pytest.mark.parametrize("text", SPELLINGS)
def test_every_spelling_is_read_as_the_parser_reads_it(text: str, tmp_path: Path) -> None:
    """A client takes the same socket and file as the daemon."""
    whole = accepted(text + REST)
    assert whole.control is not None
    socket, file, _ = looked_at(text + REST, tmp_path)
    assert (whole.control.socket, whole.target.path) == (socket, file)
    assert ("/run/s", "/run/c") == (socket, file)


@pytest.mark.parametrize(
    "line",
    [
        "instance: build-7\n",
        "instance : 'build-7'  # ours\n\n  # and more\n# of it\n",
        'instance: "build-7"\r\n',
        "instance:\n  build-7\n",
        'instance: "build\\x2d7"\n',
    ],
)
def test_the_instance_is_read_as_the_parser_reads_it(line: str, tmp_path: Path) -> None:
    """A client recognises its daemon by the name; a file that names none has none."""
    text = "credentials_file: {path: /run/c}\n" + REST
    for whole in (line + text, text + line):
        assert "build-7" == accepted(whole).instance == looked_at(whole, tmp_path).instance
    assert looked_at(text, tmp_path).instance is None


@given(
    st.permutations(["control", "credentials_file", "defaults", "profiles"]),
    st.sampled_from(["control: {socket: PATH}\n", "control:\n  socket: PATH\n"]),
    st.sampled_from(["\n", "# control: {socket: /no}\n", "\n\n", ""]),
    st.sampled_from(["/run/a b", "/run/x.sock", "/run/'x", "/run/x#y", "/run/x: y", "/run/é"]),
)
def test_keys_may_come_in_any_order(
    tmp_path_factory: pytest.TempPathFactory, order: list[str], control: str, gap: str, path: str
) -> None:
    """Keys may come in any order, in lines or braces, with values that need quotes."""
    quoted = "'" + path.replace("'", "''") + "'"
    parts = {
        "control": control.replace("PATH", quoted),
        "credentials_file": "credentials_file: {path: /run/c}\n",
        "defaults": "defaults: {region: eu-west-1, policy: '\n  control: {socket: /no}\n  '}\n",
        "profiles": REST,
    }
    text = gap.join(parts[name] for name in order)
    assert Excerpt(path, "/run/c") == looked_at(text, tmp_path_factory.getbasetemp())


def test_an_absent_socket_is_where_systemd_puts_it(tmp_path: Path) -> None:
    """The default is the same as the daemon's."""
    text = "credentials_file: {path: /run/c}\n" + REST
    assert looked_at(text, tmp_path) == Excerpt(None, "/run/c")
    given_one = looked_at(text, tmp_path, RUNTIME_DIRECTORY="/run/credfresh")
    assert given_one == Excerpt("/run/credfresh/control.sock", "/run/c")


@pytest.mark.parametrize("text", ["", "# nothing\n", "control: 7\n", "a: {b: [c]}\n"])
def test_a_file_that_says_nothing_is_no_error(text: str, tmp_path: Path) -> None:
    """Whether it is valid is left to the daemon; only an empty file is refused."""
    if text.startswith("#") or not text:
        with pytest.raises(ConfigError, match="empty"):
            looked_at(text, tmp_path)
    else:
        assert looked_at(text, tmp_path) == Excerpt(None, None)


@pytest.mark.parametrize("text", ["{", "control: {socket: /run/s", b"\xff\xfe", "- a\n"])
def test_a_file_that_is_no_yaml_is_refused(text: str | bytes, tmp_path: Path) -> None:
    """The error has the place of the mistake."""
    with pytest.raises(ConfigError, match=r"credfresh\.yaml:\d"):
        looked_at(text, tmp_path)


def test_a_file_that_cannot_be_read_says_how_to_do_without(tmp_path: Path) -> None:
    """A job may not be allowed to read it, and can do with --socket."""
    with pytest.raises(ConfigError, match="no such file") as caught:
        excerpt(str(tmp_path / "absent.yaml"), {})
    assert "--socket" in str(caught.value)


def test_the_committed_samples_need_no_yaml() -> None:
    """The usual spellings are read without PyYAML, and nothing is read with pydantic."""
    code = (
        "import sys\n"
        "from credfresh.config.excerpt import excerpt\n"
        "for path in sys.argv[1:]: print(excerpt(path, {}))\n"
        "print(sorted({'yaml', 'pydantic', 'boto3'} & sys.modules.keys()))\n"
    )
    samples = [str(ROOT / "config" / name) for name in ("credfresh.example.yaml", "minimal.yaml")]
    done = subprocess.run(
        [sys.executable, "-c", code, *samples], capture_output=True, text=True, check=True
    )
    example, minimal, imported = done.stdout.splitlines()
    assert str(Excerpt("/run/credfresh/control.sock", "/run/credfresh/credentials")) == example
    assert str(Excerpt(None, "/run/credfresh/credentials")) == minimal
    assert "[]" == imported
