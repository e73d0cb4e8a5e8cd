"""No order of renewals, removals and foreign edits loses, adds or moves a foreign byte."""

from __future__ import annotations

import tempfile
from collections.abc import Collection
from itertools import count
from pathlib import Path

import pytest
from botocore.configloader import raw_config_parse
from botocore.exceptions import ConfigParseError
from configupdater import ConfigUpdater
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from credfresh.splice import ownership
from credfresh.splice.holding import RULING
from credfresh.splice.ini_lines import lines
from credfresh.splice.ownership import Document, Piece
from pieces import INSTANCE, merge, piece, pieces, split

NAMES = ("dev", "stage", "prod")
BODIES = (
    b"",
    b"region = eu-west-1\n",
    b"s3 =\n  max_concurrent_requests = 20\n  addressing_style = path\n",
    b"aws_access_key_id=AKIAEXAMPLE\r\naws_secret_access_key : 100%(x)s\r\n",
    b"k = v\nK = w\n",
    b"stray words\n",
    b"  indented = key\n\n\n",
    b"latin = \xe9\n",
    b"nul = \x00\n",
    b"long = " + b"x" * 1_000_000 + b"\n",
    b"mac = 1\rtwo = 2\r",
    b"unfinished",
    b"# no end",
    b"[unclosed\n",
)
HEADERS = (
    b"[f%d]\n",
    b"[f%d]\r\n",
    b"[ f%d ]\n",
    b"[twin]\n",
    b"[profile f%d] # c\n",
    b"# only %d\n",
    b"; %d\r\n",
)
WILD = (
    *(header.replace(b"%d", b"1") for header in HEADERS),
    *BODIES,
    b"\xef\xbb\xbf",
    b"[DEFAULT]\n",
    b"[dev]\n",
    b"[ stage ]\n",
    b"  [prod]\n",
    b"\xc2\xa0[prod]\n",
    b"\x1c[stage]\nrole_arn = x\n",
    b"\xa0[dev]\n",
    b"\xe3\x80\x80two = 2\n",
    b"[prod",
    b"\r",
    b"\n",
    b"aws_access_key_id = ASIADEV0\n",
    b"# credfresh v=1 instance=build-host key=ASIADEV0\n",
    b"# credfresh v=1 instance=other key=ASIADEV0\n",
    piece("dev").render(),
    piece("dev").render()[:-5],
    piece("stage").render().replace(b"[stage]", b"[staging]"),
    piece("prod", instance="other").render(),
)
EDITS = (
    (b"canary", b"other"),
    (b"ASIA", b"ASIAEDITED"),
    (b"\n", b"\r\n"),
    (b" = ", b"="),
    (b"aws_secret_access_key", b"AWS_SECRET_ACCESS_KEY"),
    (b"aws_session_token", b"aws_security_token"),
)
any_bytes = st.lists(st.one_of(st.sampled_from(WILD), st.binary(max_size=8)), max_size=8).map(
    b"".join
)


def as_read(data: bytes) -> dict[str, dict[str, object]] | None:
    """Return what botocore reads; None when it refuses the file."""
    with tempfile.NamedTemporaryFile() as file:
        Path(file.name).write_bytes(data)
        try:
            return raw_config_parse(file.name)
        except ConfigParseError:
            return None


def by_default(data: bytes) -> dict[str, object]:
    """Return what a [DEFAULT] says, which an INI library adds to every section."""
    read = as_read(data + b"\n[says-nothing]\n")
    return read["says-nothing"] if read else {}


def as_updated(data: bytes) -> dict[str, dict[str, str | None]] | None:
    """Return what configupdater reads; None when it refuses the file."""
    updater = ConfigUpdater(strict=True)
    try:
        updater.read_string(data.decode())
        return {name: updater[name].to_dict() for name in updater.sections()}
    except Exception:  # noqa: BLE001 -- it raises what it likes; then it is no judge
        return None


def plain(document: Document) -> list[object]:
    """Return a document's sections without what was remembered about them."""
    return [
        section._replace(label=section.label and section.label._replace(said=None))
        for section in document.sections
    ]


def check_scan(document: Document) -> None:
    """A document that merges have carried along equals a fresh scan of its bytes."""
    fresh = ownership.read(document.data)
    assert plain(document) == plain(fresh)
    assert (document.named, document.shared) == (fresh.named, fresh.shared)


class File(RuleBasedStateMachine):
    """A file under renewals, removals and foreign edits, beside a model of its foreign text.

    The model is a list of texts (foreign) and names (ours), in the order of the file.
    """

    def __init__(self) -> None:
        super().__init__()
        self.model: list[bytes | str] = []
        self.put: dict[str, Piece] = {}
        self.document = ownership.read(b"")
        self.number = count(1)

    @initialize(text=any_bytes.filter(lambda text: b"credfresh" not in text), body=st.booleans())
    def start(self, text: bytes, body: bool) -> None:  # noqa: FBT001 -- drawn
        """Start from any file in which nothing of ours stands and no name of ours is taken."""
        document = ownership.read(text)
        if body and not any(name in document.named for name in NAMES):
            self.document = document
            self.model = [text]

    @rule(name=st.sampled_from(NAMES), region=st.sampled_from([None, "eu-west-1"]))
    def renew(self, name: str, region: str | None) -> None:
        """A profile has new keys."""
        if name not in self.put:
            self.model.append(name)
        self.put[name] = piece(name, next(self.number), region=region)
        self._merge()

    @rule()
    def renew_all(self) -> None:
        """Every profile has new keys, in one publish."""
        self.put = {name: piece(name, next(self.number)) for name in self.put}
        self._merge()

    @rule(gone=st.sets(st.sampled_from(NAMES)), new=st.sampled_from(NAMES))
    def reconfigure(self, gone: set[str], new: str) -> None:
        """Profiles leave the configuration while another comes, in one publish."""
        for name in (gone & self.put.keys()) - {new}:
            del self.put[name]
            self._drop(name)
        if new not in self.put:
            self.model.append(new)
            self.put[new] = piece(new, next(self.number))
        self._merge()

    @precondition(lambda self: self.put)
    @rule(data=st.data(), withdraw=st.booleans())
    def remove(self, data: st.DataObject, withdraw: bool) -> None:  # noqa: FBT001 -- drawn
        """A profile leaves the configuration, or is withdrawn."""
        name = data.draw(st.sampled_from(sorted(self.put)))
        del self.put[name]
        self._drop(name)
        self._merge(withdraw={name} if withdraw else ())

    @precondition(lambda self: self.put)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        """Nothing is in hand for a profile: whatever stands stays as it is."""
        name = data.draw(st.sampled_from(sorted(self.put)))
        others = {other: each for other, each in self.put.items() if other != name}
        assert self.document.data == merge(self.document, others, leave={name}).data
        assert self.document.data == merge(self.document.data, others, leave={name}).data

    @precondition(lambda self: self.put)
    @rule(data=st.data())
    def take(self, data: st.DataObject) -> None:
        """Somebody pastes keys over ours: whatever is merged then, they stay."""
        name = data.draw(st.sampled_from(sorted(self.put)))
        stood = self.document.data
        own, theirs = self.put[name].mark.key.encode(), b"AKIAPASTED"
        at = stood.index(b"aws_access_key_id = " + own)
        taken = stood[:at] + stood[at:].replace(own, theirs, 1)
        outcome = merge(taken, self.put)
        assert [("taken", f"profile-{name}")] == [(r.code, r.profile) for r in outcome.refused]
        assert taken == outcome.data
        others = {other: each for other, each in self.put.items() if other != name}
        assert taken == merge(taken, others, withdraw={name}).data
        assert theirs in merge(taken, {}).data

    @rule(header=st.sampled_from(HEADERS), body=st.sampled_from(BODIES))
    def append(self, header: bytes, body: bytes) -> None:
        """Somebody adds a section or a comment at the end."""
        text = header.replace(b"%d", b"%d" % next(self.number))
        if text[:1] == b"[":
            started = self.document.data[-1:] in (b"", b"\r", b"\n")
            text = (b"" if started else b"\n") + text + body
        elif body in (b"unfinished", b"# no end"):
            text = text.rstrip()
        self._end_lines()
        if self.model and isinstance(self.model[-1], bytes):
            self.model[-1] += text
        else:
            self.model.append(text)
        self._edit(self.document.data + text)

    @rule()
    def insert(self) -> None:
        """Somebody adds a section at the top."""
        text = b"[top%d]\nk = v\n\n" % next(self.number)
        self.model.insert(0, text)
        if len(self.model) > 1 and isinstance(self.model[1], bytes):
            self.model[:2] = [text + self.model[1]]
        self._edit(text + self.document.data)

    @precondition(lambda self: self.put)
    @rule(data=st.data(), edit=st.sampled_from(EDITS))
    def alter(self, data: st.DataObject, edit: tuple[bytes, bytes]) -> None:
        """Somebody edits inside a block of ours; the daemon puts it back."""
        name = data.draw(st.sampled_from(sorted(self.put)))
        stood = self.document.data
        start = stood.index(b"[%b]\n# credfresh" % name.encode())
        old, new = edit
        at = stood.index(old, start + len(name) + 3)
        self._edit(stood[:at] + new + stood[at + len(old) :])
        outcome = merge(self.document, self.put)
        assert outcome.repaired == (name,)
        assert outcome.refused == ()
        self.document = outcome.document

    @invariant()
    def foreign_bytes_are_what_others_wrote(self) -> None:
        """The text between our blocks is the model's, and a line end where two would touch."""
        expected: list[bytes | None] = [b""]
        for item in self.model:
            last = expected[-1] or b""
            if isinstance(item, bytes):
                expected[-1] = last + item
            else:
                needs = last and not last.endswith(b"\n")
                expected[-1] = last + b"\n" if needs else last
                expected += [None, b""]
        assert expected == split(self.document.data)

    @invariant()
    def ours_stand_as_wanted(self) -> None:
        """Each piece stands once, in the order in which the pieces came."""
        assert [item for item in self.model if isinstance(item, str)] == [
            each.section for each in ownership.owned(self.document, INSTANCE)
        ]
        assert {each.mark for each in self.put.values()} == {
            each.mark for each in ownership.owned(self.document, INSTANCE)
        }
        assert self.document.data == merge(self.document.data, self.put).data

    @invariant()
    def a_scan_agrees(self) -> None:
        """The document that merges have carried along equals a fresh scan of the file."""
        check_scan(self.document)

    @invariant()
    def removing_ours_gives_back_the_foreign_text(self) -> None:
        """The file is then as if we had never written to it."""
        theirs = b"".join(item for item in self.model if isinstance(item, bytes))
        assert theirs == merge(self.document, {}).data

    @invariant()
    def botocore_reads_theirs_and_ours(self) -> None:
        """A file that botocore can read stays readable, with what it said before and with ours."""
        foreign = b"".join(item for item in self.model if isinstance(item, bytes))
        theirs = as_read(foreign)
        if theirs is not None:
            everywhere = by_default(foreign)
            ours = {name: everywhere | dict(each.values) for name, each in self.put.items()}
            assert theirs | ours == as_read(self.document.data)

    @invariant()
    def an_ini_library_reads_theirs_and_ours(self) -> None:
        """configupdater, which keeps every line, finds their sections in their order, and ours."""
        theirs = as_updated(b"".join(item for item in self.model if isinstance(item, bytes)))
        if theirs is not None:
            both = as_updated(self.document.data)
            assert both is not None
            ours: dict[str, dict[str, str | None]] = {
                name: dict(each.values) for name, each in self.put.items()
            }
            assert theirs | ours == both
            assert list(theirs) == [name for name in both if name not in ours]

    def _merge(self, withdraw: Collection[str] = ()) -> None:
        outcome = merge(self.document, self.put, withdraw=withdraw)
        assert outcome.refused == ()
        self.document = outcome.document

    def _edit(self, data: bytes) -> None:
        self.document = ownership.read(data)

    def _end_lines(self) -> None:
        """Foreign text will follow ours: the line end that we added then stays for good."""
        if self.model and isinstance(self.model[-1], str):
            for place in range(len(self.model) - 1, -1, -1):
                text = self.model[place]
                if isinstance(text, bytes):
                    if text and not text.endswith(b"\n"):
                        self.model[place] = text + b"\n"
                    break

    def _drop(self, name: str) -> None:
        place = self.model.index(name)
        del self.model[place]
        if 0 < place < len(self.model):
            before, after = self.model[place - 1], self.model[place]
            if isinstance(before, bytes) and isinstance(after, bytes):
                self.model[place - 1 : place + 1] = [before + after]


TestFile = File.TestCase
TestFile.settings = settings(max_examples=25, stateful_step_count=12, deadline=None)


@pytest.mark.long
@pytest.mark.timeout(3600)
class TestFileForLonger(File.TestCase):  # type: ignore[misc,valid-type]  # hypothesis makes it
    """The same state machine, for longer than an everyday run may take."""

    settings = settings(max_examples=1500, stateful_step_count=30, deadline=None)


@settings(max_examples=150, deadline=None)
@given(data=any_bytes, put=st.sets(st.sampled_from(NAMES)))
def test_foreign_bytes_survive_any_merge(data: bytes, put: set[str]) -> None:
    """In any bytes at all, with no key of ours known, only proven blocks are rewritten."""
    wanted = pieces(*(piece(name, 1) for name in sorted(put)))
    before = ownership.read(data)
    theirs = merge(before, {}, issued=()).data
    outcome = merge(before, wanted, issued=())
    check_scan(outcome.document)
    assert outcome.data == merge(outcome.data, wanted, issued=()).data
    if not outcome.repaired:
        assert theirs == merge(outcome.document, {}, issued=()).data
    if not ownership.owned(before, INSTANCE):
        assert theirs == data
        refused = {refusal.profile.removeprefix("profile-") for refusal in outcome.refused}
        entered = {name for name in put if name in before.named} - refused
        assert entered or outcome.data.startswith(data)
        for name in entered:
            (place,) = before.named[name]
            stretch = data[before.starts()[place] : before.starts()[place + 1]]
            assert not any(line.name in RULING for line in lines(stretch))


@settings(max_examples=100, deadline=None)
@given(
    data=any_bytes,
    put=st.sets(st.sampled_from(NAMES)),
    leave=st.sets(st.sampled_from(NAMES)),
    withdraw=st.sets(st.sampled_from(NAMES)),
)
def test_a_second_merge_changes_nothing_more(
    data: bytes, put: set[str], leave: set[str], withdraw: set[str]
) -> None:
    """In any bytes at all, a second merge adopts, repairs and withdraws nothing more."""
    wanted = pieces(*(piece(name, 1, adopt=True) for name in sorted(put)))
    leave, withdraw = leave - put, withdraw - put - leave
    outcome = merge(data, wanted, leave=leave, withdraw=withdraw)
    check_scan(outcome.document)
    again = merge(outcome.data, wanted, leave=leave, withdraw=withdraw)
    assert (again.data, again.repaired, again.adopted) == (outcome.data, (), ())
    assert again.refused == outcome.refused


@settings(max_examples=60, deadline=None)
@given(data=any_bytes)
def test_an_ini_library_finds_every_foreign_line_and_ours(data: bytes) -> None:
    """Where configupdater reads the file, it finds every foreign line and ours, and no other."""
    theirs = as_updated(data)
    if theirs is None or any(name in ownership.read(data).named for name in NAMES):
        return
    both = as_updated(merge(data, pieces(*map(piece, NAMES))).data)
    assert both is not None
    assert [*theirs, *NAMES] == list(both)
    assert theirs | {name: dict(piece(name).values) for name in NAMES} == both
