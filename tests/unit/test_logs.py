"""The log: what a line is made of, which lines there are, and what is in none of them."""

from __future__ import annotations

import errno
import io
import itertools
import json
import logging
import os
import pty
import select
import socket
import sys
import threading
import types
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO, cast

import pytest

from capture import Stream, process_restored
from credfresh.logs import Log, configure, follow
from credfresh.logs.capture import CLAMPED
from credfresh.logs.redaction import REDACTED, redact
from credfresh.logs.stream import PATIENCE
from credfresh.logs.stream import Stream as LineStream
from credfresh.settings import LogSettings
from fakes import EPOCH, FakeClock

SECRET_KEY = "wJalrXUtnFEMIzK7MDENGzbPxRfiCYCANARYKEY1"
TOKEN = "IQoJb3JpZ2luX2VjECANARY" + "x" * 300


@pytest.fixture(name="stream")
def _stream() -> Stream:
    return Stream()


@pytest.fixture(name="process")
def _process() -> Iterator[None]:
    """Give the process back its handlers, levels and hooks."""
    with process_restored():
        yield


def log_to(stream: Stream, **more: Any) -> Log:
    """Return a log with a fake clock."""
    return Log(stream, clock=FakeClock(), **more)


# A line


def test_a_line_is_one_object_with_time_level_event_and_fields(stream: Stream) -> None:
    """The keys come in that order, whatever the fields are called."""
    log_to(stream)("daemon_stopping", in_flight=3)

    [line] = stream.lines()
    assert ["timestamp", "level", "event", "in_flight"] == list(line)
    assert {
        "timestamp": "2027-01-15T08:00:00.000Z",
        "level": "info",
        "event": "daemon_stopping",
        "in_flight": 3,
    } == line


def test_the_time_has_milliseconds(stream: Stream) -> None:
    """Times are cut to milliseconds, not rounded into the next second."""
    clock = FakeClock()
    clock.advance(0.9996)
    Log(stream, clock=clock)("daemon_stopped", clean=True)

    assert "2027-01-15T08:00:00.999Z" == stream.lines()[0]["timestamp"]
    assert 1_800_000_000 == EPOCH


def test_a_field_that_is_none_is_left_out(stream: Stream) -> None:
    """None is left out; 0, false and the empty text are not."""
    log_to(stream)("config_refused", file="", line=0, hint=None)

    assert {"file": "", "line": 0}.items() <= stream.lines()[0].items()
    assert "hint" not in stream.lines()[0]


def test_each_event_has_the_level_that_is_declared(stream: Stream) -> None:
    """An event below the wanted level is not shown."""
    log = log_to(stream, level="warning")
    log("daemon_stopped", clean=True)
    log("lock_unusable", path="/x")
    log("workers_exhausted", waiting=1)

    assert ["warning", "error"] == [line["level"] for line in stream.lines()]


def test_an_undeclared_event_is_told_without_its_values(stream: Stream) -> None:
    """Only its name and its fields' names are certain to be harmless."""
    log = log_to(stream)
    log("made_up", key=SECRET_KEY)
    log("daemon_stopped", clean=True, extra="x y z")

    assert [("made_up", "key"), ("daemon_stopped", "clean extra")] == [
        (line["name"], line["fields"]) for line in stream.lines()
    ]
    assert SECRET_KEY not in stream.getvalue()


def test_line_ends_in_a_value_start_no_line(stream: Stream) -> None:
    """A message of several lines is one line of the log."""
    odd = "one\ntwo\r\n\u2028three\x85four\x1b[31m"
    log_to(stream)("start_refused", error=odd)
    assert 1 == len(stream.getvalue().splitlines())
    assert odd == stream.lines()[0]["error"]

    log_to(stream, console=True)("unexpected_error", error_type=odd, frames=[odd])
    [_, event, frame] = stream.getvalue().splitlines()
    assert " unexpected_error " in event
    assert frame.startswith("             frames one\\ntwo")
    assert "\x1b" not in stream.getvalue()


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "ascii"])
def test_characters_that_the_stream_cannot_encode_are_escaped(encoding: str) -> None:
    """Characters that the stream cannot encode, and lone surrogates, are escaped."""
    stream = Stream(encoding=encoding)
    odd = "d\u00e9p\u00f4t \u20ac \U0001f511 \udcff"
    log_to(stream)("file_published", path=odd)
    assert odd == stream.lines()[0]["path"]

    log_to(stream, console=True)("file_published", path=odd)
    assert "\\udcff" in stream.getvalue().splitlines()[1]


def test_on_a_terminal_lines_are_for_people() -> None:
    """They have colours and the event's name, and are no JSON."""
    stream = Stream(terminal=True)
    log = configure_quietly(stream)
    log("daemon_ready", settled=True)

    assert log.console
    assert "\x1b[" in stream.getvalue()
    assert "daemon_ready" in stream.getvalue()
    assert "{" not in stream.getvalue()


@pytest.mark.parametrize(
    ("environ", "escape"),
    [({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)],
)
def test_no_color_takes_the_colours_away(environ: dict[str, str], *, escape: bool) -> None:
    """https://no-color.org: where the variable is set, and not empty. Nor a terminal without."""
    stream = Stream(terminal=True)
    configure_quietly(stream, **environ)("daemon_ready", settled=True)

    assert "daemon_ready" in stream.getvalue()
    assert escape == ("\x1b" in stream.getvalue())


def configure_quietly(stream: TextIO, **environ: str) -> Log:
    """Configure the log, and restore the process's handlers, levels and hooks at once."""
    with process_restored():
        return configure(LogSettings(), stream=stream, clock=FakeClock(), environ=environ)


@pytest.mark.parametrize(
    ("event", "priority"), [("daemon_ready", 6), ("lock_unusable", 4), ("workers_exhausted", 3)]
)
def test_where_journald_listens_lines_carry_their_priority(
    tmp_path: Path, event: str, priority: int
) -> None:
    """They do where $JOURNAL_STREAM names our stream, by device and inode."""
    path = tmp_path / "out"
    with path.open("w", encoding="utf-8") as file:
        status = os.fstat(file.fileno())
        mine = f"{status.st_dev}:{status.st_ino}"
        configure_quietly(file, JOURNAL_STREAM=mine)(event)
        configure_quietly(file, JOURNAL_STREAM="8:1")(event)

    first, second = path.read_text("utf-8").splitlines()
    assert first.startswith(f"<{priority}>{{")
    assert second.startswith("{")


# A reader that does not read


def test_a_reader_that_has_gone_away_does_no_harm() -> None:
    """The log goes on without a reader, and closing its stream is no error either."""
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w", encoding="utf-8") as pipe:  # noqa: PTH123 - a descriptor
        log = Log(pipe, clock=FakeClock())
        log("daemon_stopped", clean=True)
        log("daemon_stopped", clean=True)
        written_to = os.fstat(pipe.fileno())
    assert os.path.samestat(Path(os.devnull).stat(), written_to)
    assert pipe.closed


def test_a_reader_that_has_stopped_reading_holds_nobody_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """While the pipe is full one line is kept and others are dropped, to be counted afterwards."""
    monkeypatch.setattr("credfresh.logs.stream.PATIENCE", 0.01)
    reading, writing = os.pipe()
    with (
        open(reading, encoding="utf-8") as reader,  # noqa: PTH123 - a descriptor
        open(writing, "w", encoding="utf-8") as pipe,  # noqa: PTH123 - a descriptor
    ):
        log = Log(pipe, clock=FakeClock())
        for number in range(2000):
            log("daemon_stopping", in_flight=number)
        before = _read_all(reader)
        log("daemon_stopped", clean=True)
        pipe.close()
        after = [json.loads(line) for line in reader]

    assert list(range(len(before))) == [line["in_flight"] for line in before]
    kept, lost, last = after
    assert len(before) == kept["in_flight"]
    assert ("log_lines_lost", "daemon_stopped") == (lost["event"], last["event"])
    assert 2000 == len(before) + 1 + lost["lines"]


def test_a_terminal_that_has_stopped_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that hangs, say: lines are lost and counted, and none is torn."""
    monkeypatch.setattr("credfresh.logs.stream.PATIENCE", 0.01)
    master, terminal = pty.openpty()
    shared = os.dup(terminal)
    with open(terminal, "w", encoding="utf-8") as stream:  # noqa: PTH123 - a descriptor
        log = Log(stream, clock=FakeClock())

        def tell() -> None:
            for number in range(1000):
                log("daemon_stopping", in_flight=number)

        telling = threading.Thread(target=tell)
        telling.start()
        telling.join(5)
        waits = telling.is_alive()
        os.set_blocking(master, False)
        text = _read_terminal(master, telling)
        assert not waits
        log("daemon_stopped", clean=True)
        text += _read_terminal(master, telling)
    assert os.get_blocking(shared)
    os.close(shared)
    os.close(master)

    *told, lost, last = [json.loads(line) for line in text.splitlines()]
    assert list(range(len(told))) == [line["in_flight"] for line in told]
    assert 1000 == len(told) + lost["lines"]
    assert ("log_lines_lost", "daemon_stopped") == (lost["event"], last["event"])


def _read_terminal(master: int, teller: threading.Thread) -> str:
    text = b""
    while select.select([master], [], [], 0.2)[0] or teller.is_alive():
        text += os.read(master, 65536)
    return text.decode()


class Slow(io.RawIOBase):
    """A terminal that takes a little at a time, and nothing in between."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self._takes = False

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int | None:
        self._takes = not self._takes
        if not self._takes:
            return None
        self.written += bytes(data[:7])
        return min(7, len(data))


def test_a_terminal_that_is_slow_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it has taken a part of goes on as soon as there is room."""
    monkeypatch.setattr("credfresh.logs.stream.PATIENCE", 60.0)
    slow = Slow()
    with io.TextIOWrapper(io.BufferedWriter(slow), encoding="utf-8") as stream:
        log = Log(stream, clock=FakeClock())
        for number in range(20):
            log("daemon_stopping", in_flight=number)
    lines = [json.loads(line) for line in slow.written.splitlines()]
    assert list(range(20)) == [line["in_flight"] for line in lines]


def test_a_line_that_is_longer_than_the_room_holds_nobody_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What a hook printed may be: its line is begun, and goes on before others when it is read."""
    monkeypatch.setattr("credfresh.logs.stream.PATIENCE", 0.01)
    reading, writing = os.pipe()
    with (
        open(reading, encoding="utf-8") as reader,  # noqa: PTH123 - a descriptor
        open(writing, "w", encoding="utf-8") as pipe,  # noqa: PTH123 - a descriptor
    ):
        log = Log(pipe, clock=FakeClock())
        printed = [str(number) + "\ufffd" * 2000 for number in range(9)]

        def tell() -> None:
            for output in printed:
                log("hook_ran", output=output)

        telling = threading.Thread(target=tell)
        telling.start()
        telling.join(5)
        waits = telling.is_alive()
        text = os.read(reading, 1 << 20).decode()
        telling.join()
        assert not waits
        log("daemon_stopped", clean=True)
        pipe.close()
        text += reader.read()

    *told, lost, last = [json.loads(line) for line in text.splitlines()]
    assert printed[: len(told)] == [line["output"] for line in told]
    assert len(printed) == len(told) + lost["lines"]
    assert ("log_lines_lost", "daemon_stopped") == (lost["event"], last["event"])


class Patient:
    """A poll that notes for how long it is let wait, and says whether `there_is` room."""

    def __init__(self) -> None:
        self.there_is: Callable[[], bool] = lambda: True
        self.waits: list[float] = []

    def poll(self, milliseconds: float) -> bool:
        self.waits.append(milliseconds)
        return self.there_is()


def test_a_stream_that_nobody_reads_is_waited_for_once(tmp_path: Path) -> None:
    """Neither again for each line that is lost, nor for each piece of a long one."""
    patience = 1000 * PATIENCE
    with (tmp_path / "log").open("w", encoding="utf-8") as file:
        lines, poll = LineStream(file, journal=False), Patient()
        lines._poll, lines._at_once = cast("select.poll", poll), 10
        lines.info("0123456789" * 9)
        whole = [wait for wait in poll.waits if wait]
        assert patience / 2 < whole[0] <= patience
        assert all(later < sooner <= patience for sooner, later in itertools.pairwise(whole[1:]))

        poll.waits.clear()
        poll.there_is = lambda: len(poll.waits) < 4
        lines.info("0123456789" * 9)
        begun = len(poll.waits)
        lines.info("lost")
        lines.info("lost too")
        assert [0.0, 0.0] == poll.waits[begun:]

        poll.there_is = lambda: True
        assert 2 == lines.take_lost()
        poll.there_is = lambda: False
        poll.waits.clear()
        lines.info("lost as well")
        lines.info("and this")
        assert [True, False] == [wait > 0 for wait in poll.waits]
    assert ["0123456789" * 9] * 2 == (tmp_path / "log").read_text().splitlines()


def test_lines_that_a_full_disk_costs_are_counted() -> None:
    """One is kept, and comes first when there is room again; the others are only counted."""
    file = Disk()
    with io.TextIOWrapper(io.BufferedWriter(file), encoding="utf-8") as stream:
        log = Log(stream, clock=FakeClock())
        file.full = True
        for number in range(50):
            log("daemon_stopping", in_flight=number)
        file.full = False
        log("daemon_stopped", clean=True)
        lines = [json.loads(line) for line in file.written.splitlines()]

    assert ["daemon_stopping", "log_lines_lost", "daemon_stopped"] == [x["event"] for x in lines]
    assert (0, 49) == (lines[0]["in_flight"], lines[1]["lines"])


class Disk(io.RawIOBase):
    """A file on a disk that may be full."""

    def __init__(self) -> None:
        super().__init__()
        self.full = False
        self.written = b""

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.written += bytes(data)
        return len(data)


def test_journald_that_was_stopped_is_found_when_it_is_started_again(tmp_path: Path) -> None:
    """A restarted journald has forgotten its streams; lines lost meanwhile are counted."""
    at = str(tmp_path / "stdout")
    before, ours = socket.socketpair()
    with open(ours.detach(), "w", encoding="utf-8") as stream:  # noqa: PTH123 - a descriptor
        lines = LineStream(stream, journal=True, socket_path=at)
        lines.info("first")
        assert b"<6>first\n" == before.recv(99)
        before.close()
        for line in ("kept", "lost", "lost too"):
            lines.error(line)
        assert 0 == lines.take_lost()

        with socket.socket(socket.AF_UNIX) as journald:
            journald.bind(at)
            journald.listen()
            assert 2 == lines.take_lost()
            lines.warning("last")
            after, _ = journald.accept()
            with after, after.makefile(encoding="utf-8") as read:
                assert "credfresh" == read.readline().strip()
                header = [read.readline().strip() for _ in range(6)]
                assert ["", "6", "1", "0", "0", "0"] == header
                assert ["<3>kept\n", "<4>last\n"] == [read.readline() for _ in range(2)]


def _read_all(reader: io.TextIOWrapper) -> list[dict[str, Any]]:
    os.set_blocking(reader.fileno(), False)
    text = b""
    while True:
        try:
            text += os.read(reader.fileno(), 65536)
        except BlockingIOError:
            os.set_blocking(reader.fileno(), True)
            return [json.loads(line) for line in text.splitlines()]


# Records of libraries, warnings and uncaught errors


@pytest.mark.usefixtures("process")
def test_a_librarys_record_is_an_event(stream: Stream) -> None:
    """It has the record's logger, text and level."""
    configure(LogSettings(), stream=stream, clock=FakeClock())
    logging.getLogger("somebody").warning("%d of %s", 3, "four")
    logging.getLogger("somebody").critical("broken %d", "format")

    warning, error = stream.lines()
    assert ("library", "warning", "somebody", "3 of four") == (
        warning["event"],
        warning["level"],
        warning["logger"],
        warning["message"],
    )
    assert ("error", "broken %d") == (error["level"], error["message"])


@pytest.mark.usefixtures("process")
@pytest.mark.parametrize("name", sorted(CLAMPED))
def test_talkative_libraries_stay_at_info_whatever_the_level(stream: Stream, name: str) -> None:
    """Debug records of botocore and the like hold whole answers of STS."""
    log = configure(LogSettings(level="debug"), stream=stream, clock=FakeClock())
    logging.getLogger(f"{name}.parsers").debug("a whole answer")
    logging.getLogger("another").debug("something")
    follow(log, "error")
    follow(log, "debug")
    logging.getLogger(f"{name}.parsers").debug("a whole answer")

    assert ["something"] == [line["message"] for line in stream.lines()]


@pytest.mark.usefixtures("process")
def test_a_new_level_applies_to_events_and_records_of_libraries(stream: Stream) -> None:
    """After a reload, events of ours and records of libraries keep to it."""
    log = configure(LogSettings(level="error"), stream=stream, clock=FakeClock())
    logging.getLogger("botocore").info("not yet")
    log("daemon_ready")
    follow(log, "info")
    logging.getLogger("botocore").info("now")
    log("daemon_ready")

    assert ["library", "daemon_ready"] == [line["event"] for line in stream.lines()]


@pytest.mark.usefixtures("process")
def test_a_warning_is_an_event(stream: Stream) -> None:
    """Python's own warnings go into the log and to no other place."""
    configure(LogSettings(), stream=stream, clock=FakeClock())
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=False)
        logging.captureWarnings(capture=True)
        warnings.warn("this will go", DeprecationWarning, stacklevel=1)

    [line] = stream.lines()
    assert ("library", "py.warnings", "warning") == (line["event"], line["logger"], line["level"])
    assert "DeprecationWarning: this will go" in line["message"]


def fail_with(secret: str) -> BaseException:
    """Return an error that holds a secret in its text and in a local variable."""
    with pytest.raises(ValueError, match=secret) as caught:
        int(secret)
    return caught.value


@pytest.mark.usefixtures("process")
def test_an_error_in_a_record_is_told_without_text_and_variables(stream: Stream) -> None:
    """Its type and the places that it came through say where to look."""
    configure(LogSettings(), stream=stream, clock=FakeClock())
    logging.getLogger("somebody").error("failed", exc_info=fail_with("hunter2"))

    [line] = stream.lines()
    assert "ValueError" == line["error_type"]
    assert line["frames"][-1].endswith(" fail_with")
    assert "hunter2" not in stream.getvalue()


@pytest.mark.usefixtures("process")
def test_an_uncaught_error_is_one_line(stream: Stream) -> None:
    """This holds in the main thread, in another one, and for an error that nobody could catch."""
    configure(LogSettings(), stream=stream, clock=FakeClock())
    error = fail_with("hunter2")
    sys.excepthook(type(error), error, error.__traceback__)
    threading.excepthook(
        threading.ExceptHookArgs(
            (type(error), error, error.__traceback__, threading.Thread(name="worker-7"))
        )
    )
    sys.unraisablehook(
        types.SimpleNamespace(
            exc_type=type(error), exc_value=error, exc_traceback=None, err_msg="x", object=None
        )
    )

    assert [("main", 1), ("worker-7", 1), ("unraisable", 0)] == [
        (line["where"], len(line["frames"])) for line in stream.lines()
    ]
    assert {"unexpected_error"} == {line["event"] for line in stream.lines()}
    assert "hunter2" not in stream.getvalue()


# Redaction: what would still keep a secret out if one got into a field


@pytest.mark.parametrize(
    "text", [SECRET_KEY, f"key={SECRET_KEY};", TOKEN, f"<{TOKEN}>", "A1b/" * 40, "eyJhbGciOiJ.e30."]
)
def test_values_that_look_like_secrets_are_redacted(stream: Stream, text: str) -> None:
    """They are found in a text, in a list and in a mapping."""
    log_to(stream)(
        "unexpected_error", where=text, error_type={"a": [text]}, frames=["x", (text, 1)]
    )

    assert REDACTED in stream.lines()[0]["where"]
    assert text not in stream.getvalue()


@pytest.mark.parametrize("name", ["secret_access_key", "session_token", "Password"])
def test_fields_that_are_called_like_secrets_are_redacted(name: str) -> None:
    """The name is enough, whatever the value looks like."""
    assert {"a": {name: REDACTED}} == redact({"a": {name: "short"}})


@pytest.mark.parametrize(
    "text",
    [
        "ASIAIOSFODNN7EXAMPLE",
        "arn:aws:iam::111111111111:role/teams/platform/DeployTheWholeThingToProduction",
        "/srv/jenkins/workspace/credfresh/credentials",
        "/srv/build/agents/one/credfresh/aws/keys",
        "0123456789abcdef0123456789abcdef01234567",
        "https://sts.eu-west-1.amazonaws.com",
    ],
)
def test_key_ids_arns_and_paths_are_not_redacted(text: str) -> None:
    """Key ids, ARNs, paths, digests and addresses are not taken out."""
    assert {"x": text, "n": 7, "t": True} == redact({"x": text, "n": 7, "t": True})


def test_only_the_type_of_an_object_is_logged() -> None:
    """The text of an error or object that got into a field by mistake is not written."""
    assert {"x": "<ValueError>", "y": ["<bytes>"]} == redact(
        {"x": ValueError("hunter2"), "y": [b"hunter2"]}
    )
