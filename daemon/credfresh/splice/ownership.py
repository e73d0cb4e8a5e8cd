"""Decides which sections are ours, and what should stand in the file, given what stands there.

Pure functions over bytes, without a file or a clock; they have an answer for any bytes.

What is ours is a *block* (`mark`): header, mark and key lines, proven by its sum. A section may
hold more below our block: that is foreign and stays, even if the block is removed.

- A block is replaced where it stands; a new one is appended at the end of the file, with nothing
  between it and what stands before, so that taking it away again leaves no trace. If the text
  before it has no line end it gets one, noted in the mark as `nl`; the note moves on to our next
  block when the first goes, and the line end goes with the last.
- A section that we wrote and somebody altered (a wrong sum; a key of ours, or what continues it,
  below the block) is put back: the block replaces the lines that decide the credentials, all others
  stay below it. It counts as ours only if we issued every access key id in it, whether or not the
  mark is there: many writers of this file drop all comments. Otherwise it was taken, or is foreign.
- Adopting a section replaces the same lines and keeps the others.
- If a block is removed and key lines of somebody else stay, the header stays too: without it they
  would change the section above. A block can be put between such a header and such lines: no byte
  of theirs changes, and a profile that was withdrawn can come back.
- Names are compared trimmed, as nine of the seventeen readers tried do: a foreign `[ a ]` is in
  the way of `[a]`, since for those readers ours would replace it.
- If our block and a foreign section share a name, ours is kept fresh and the flaw is reported:
  some readers can still use it, and removing it would help nobody.
- A tangled section (see `ini`) is never rewritten below the block.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Mapping
from dataclasses import field
from operator import itemgetter

from credfresh.model import rfc3339
from credfresh.publication import Publication
from credfresh.splice import holding, ini, mark
from credfresh.splice.holding import KEY_ID, Document, Piece
from credfresh.splice.plan import Merge, Plan
from credfresh.values import dataclass

__all__ = [
    "Document",
    "Merge",
    "Owned",
    "Piece",
    "foreign_size",
    "merge",
    "owned",
    "piece",
    "read",
]

_NAME_AND_LABEL = itemgetter(1, 2)


@dataclass(frozen=True, slots=True)
class Owned:
    """One section that is provably ours, as a warm restart and `status` read it."""

    section: str
    mark: mark.Mark
    values: Mapping[str, str] = field(repr=False)


def piece(publication: Publication, instance: str) -> Piece:
    """Return the piece that should stand for a publication that has a grant.

    Raises:
        ValueError: there is no grant, or a value cannot be written; the message names the field
            and never repeats the value.
    """
    profile, grant = publication.profile, publication.grant
    if grant is None:
        raise ValueError("grant: nothing in hand to publish")
    credentials = grant.credentials
    said = mark.Mark(
        instance=instance,
        role=profile.role_arn,
        request=grant.request,
        issued=int(grant.sent_at.wall),
        expires=int(credentials.expiration),
        key=credentials.access_key_id,
    )
    values = [
        (KEY_ID, credentials.access_key_id),
        ("aws_secret_access_key", credentials.secret_access_key),
        ("aws_session_token", credentials.session_token),
    ]
    if profile.publish_region:
        values.append(("region", profile.region))
    if profile.published_account is not None:
        values.append(("aws_account_id", profile.published_account))
    values.append(("x_security_token_expires", rfc3339(said.expires)))
    return Piece(profile.section, profile.name, said, tuple(values), profile.adopt)


def read(data: bytes) -> Document:
    """Scan a file and judge the marks in it."""
    return ini.scan(data, holding.label)


def merge(
    standing: Document | bytes,
    put: Mapping[str, Piece],
    *,
    instance: str,
    issued: Container[str],
    leave: Collection[str] = (),
    withdraw: Collection[str] = (),
) -> Merge:
    """Return the file in which every piece of `put` stands in its section.

    `put`: section name to piece. `leave`: sections of configured profiles with nothing in hand,
    left as they stand. `withdraw`: sections of configured profiles that should go: removed even
    when altered, if the access key ids in them are ours. Any other section with a proven mark of
    `instance` is an orphan and removed. `issued` holds the access key ids that this daemon has
    issued or believes from marks: it decides whether an altered section is put back or has been
    `taken`.

    Merging the result again changes nothing.
    """
    document = read(standing) if isinstance(standing, bytes) else standing
    plan = Plan(document, instance, issued)
    standing_well, orphans = _survey(document, put, leave, instance)
    for name, wanted in put.items():
        if name not in standing_well:
            plan.put(name, wanted)
    for name in withdraw:
        plan.withdraw(name)
    for place in orphans:
        plan.remove(place)
    return plan.carry_out()


def _survey(
    document: Document, put: Mapping[str, Piece], leave: Collection[str], instance: str
) -> tuple[set[str], list[int]]:
    """Return the sections of `put` that are known to stand already, and the places of orphans.

    This looks once at each section; with ten thousand of them it is most of a merge's time.
    """
    shared = document.shared
    well: set[str] = set()
    orphans: list[int] = []
    for place, (name, held) in enumerate(map(_NAME_AND_LABEL, document.sections)):
        if held is None:
            continue
        wanted = put.get(name)
        if wanted is None:
            if name not in leave and held.block.instance == instance:
                orphans.append(place)
        elif held.said is wanted and name not in shared:
            well.add(name)
    return well, orphans


def owned(document: Document, instance: str | None) -> tuple[Owned, ...]:
    """Return the sections that `instance` (None: any) provably wrote, in the order of the file."""
    found = []
    starts = document.starts()
    for place, section in enumerate(document.sections):
        if section.label is not None and instance in (None, section.label.block.instance):
            start = starts[place]
            said = mark.parse(document.data[start : start + section.label.block.size])
            if said is not None:
                found.append(Owned(section.name, *said))
    return tuple(found)


def foreign_size(document: Document, instance: str) -> int:
    """Return how many bytes of the file are not provably ours."""
    return len(document.data) - sum(
        section.label.block.size
        for section in document.sections
        if section.label is not None and section.label.block.instance == instance
    )
