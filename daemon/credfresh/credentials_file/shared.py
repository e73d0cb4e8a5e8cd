"""One shared credentials file: claimed for life, read warm, published whole, looked after."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterable, Mapping

from credfresh.credentials_file import leftovers, rivals, warm
from credfresh.credentials_file.asked import Asked, Pieces
from credfresh.credentials_file.glance import Glance
from credfresh.credentials_file.knowledge import Knowledge
from credfresh.credentials_file.remarks import Remarks
from credfresh.credentials_file.replaced import Replaced
from credfresh.credentials_file.rivals import OvertakenError
from credfresh.credentials_file.standing import STEP, Standing, version
from credfresh.credentials_file.tenure import Tenure, Turn
from credfresh.disk import atomic, writing
from credfresh.disk.access import Access
from credfresh.disk.locks import Pause
from credfresh.disk.paths import Place, resolved, trustworthy
from credfresh.disk.steps import StepHook, Steps, claimed
from credfresh.errors import AlreadyRunningError, PublishError
from credfresh.model import Clock, Grant
from credfresh.publication import PublishReport, Wanted
from credfresh.settings import FileTarget, Profile
from credfresh.splice import ownership
from credfresh.splice.holding import Document

ATTEMPTS = 10
"""How often a publish starts over because of rivals that take no lock."""


class SharedCredentialsFile:
    """Keeps the sections of one instance in one file. For one thread at a time.

    `pause` waits so many seconds; `hook` is called before each step of a write (for tests).
    """

    def __init__(
        self,
        target: FileTarget,
        *,
        instance: str,
        clock: Clock,
        pause: Pause | None = None,
        hook: StepHook | None = None,
    ) -> None:
        self._path = target.path
        self._instance = instance
        self._clock = clock
        self._pause = pause or threading.Event().wait
        self._steps = Steps(target.path, hook)
        self._pieces = Pieces(instance)
        self._knowledge = Knowledge(instance, clock=clock, pause=self._pause)
        self._remarks = Remarks(target.path)
        self._access = Access(target)
        self._tenure = Tenure(instance, self._steps, self._pause)
        self._turn = Turn(self._pause, self._steps)
        self._second_look = self._tenure.second_look
        self._glance = Glance(clock)
        self._wanted: Wanted | None = None
        self._failing = False
        self._durable = True

    def serve(self, target: FileTarget) -> None:
        """Use another `target` from now on: other rights, or another path to the same file."""
        self._path = self._steps.path = self._remarks.path = target.path
        self._access = Access(target)
        self._glance.forget()

    @property
    def claimed(self) -> bool:
        """Whether we keep a file at present."""
        return self._tenure.path is not None

    def issued(self, access_key_id: str) -> bool:
        """Say whether an access key id is one that we issued. Safe in any thread."""
        return access_key_id in self._pieces.issued

    def recognise(self, access_key_ids: Iterable[str]) -> None:
        """Know these, too, as ours: sections that hold no others are put back if altered."""
        now = self._clock().wall
        for access_key_id in access_key_ids:
            self._pieces.issued.setdefault(access_key_id, now)

    def claim(self) -> None:
        """Become the only daemon that keeps the file, and clear up after the one before.

        Raises:
            AlreadyRunningError: another one keeps it.
            PublishError: the file cannot be kept where it is.
        """
        with resolved(self._path) as place:
            self._tenure.keep(place, self._access.owner)

    def release(self) -> None:
        """Give the claim up, once late writes of rivals have been taken over.

        If they cannot be, they are left to the next `claim`, which finds them.
        """
        with contextlib.suppress(PublishError, OSError):
            if self._wanted is not None and self._second_look.altered():
                self.publish(self._wanted)
        self._tenure.end(self._path)

    def standing(self, profiles: Mapping[str, Profile]) -> Mapping[str, Grant]:
        """Return the credentials that stand in the file, by profile; none if it is not trusted.

        Raises:
            PublishError: the file cannot be read.
        """
        with resolved(self._path) as place:
            with self._steps("read"):
                standing = self._knowledge.look(place)
            if standing is None:
                return {}
            standing.close()
            document = self._knowledge.document(standing)
            self._knowledge.saw(standing, document)
            if not trustworthy(place, standing.info):
                return {}
        grants = warm.believed(document, self._instance, profiles, self._clock())
        for grant in grants.values():
            self._pieces.issued[grant.credentials.access_key_id] = grant.credentials.expiration
        return grants

    def publish(self, wanted: Wanted) -> PublishReport:
        """Make our sections of the file equal to `wanted`, and leave every other byte alone.

        Raises:
            PublishError: they could not be published. The old file stands, unless the step that
                failed came after the swap.
        """
        self._wanted = wanted
        self._glance.forget()
        failed, self._failing = self._failing, True
        self._pieces.forget(self._clock().wall)
        asked = self._pieces.ask(wanted)
        with resolved(self._path) as place:
            try:
                self._tenure.keep(place, self._access.owner)
            except AlreadyRunningError as error:
                raise claimed(self._path, error) from error
            with self._turn.taken(place, self._remarks):
                if failed:
                    self._tenure.sweep(place, self._access.owner)
                report = self._persist(place, asked)
        self._failing = False
        return report

    def tick(self) -> bool:
        """Look after the file; True asks for a `publish`: it drifted, or a rival came late.

        While the last publish has failed it asks for nothing: that is retried anyway.
        """
        if self._failing or self._wanted is None:
            return False
        try:
            if self._glance.unchanged() and not self._second_look.pending:
                return False
            return self._drifted()
        except (PublishError, OSError):
            return True  # a publish meets the same error, and reports it

    def _drifted(self) -> bool:
        with resolved(self._path) as place:
            look = self._glance.look(self._path, place.folder)
            if not self._tenure.covers(place) or self._second_look.take(place):
                return True
            info = os.stat(place.name, dir_fd=place.directory, follow_symlinks=False)
            if not (self._knowledge.confirms(place, info) and self._access.fits(info)):
                return True
            self._glance.good(look)
            return False

    def _persist(self, place: Place, asked: Asked) -> PublishReport:
        for attempt in range(ATTEMPTS):
            if attempt:
                self._pause(attempt * STEP)
            with self._steps("read"):
                standing = self._knowledge.look(place)
            try:
                return self._publish_over(place, standing, asked)
            except OvertakenError as overtaken:
                self._knowledge.distrust()
                if overtaken.left is not None:
                    self._second_look.keep(place, overtaken.left)
            finally:
                if standing is not None:
                    standing.close()
        raise PublishError(
            f"{self._path}: others wrote it {ATTEMPTS} times while we tried to",
            path=self._path,
            step="swap",
            code="contended",
            hint="find who writes it all the time, or give credfresh a file of its own",
        )

    def _publish_over(self, place: Place, standing: Standing | None, asked: Asked) -> PublishReport:
        """Publish in the place of what stands, unless a rival comes between (OvertakenError)."""
        document = self._knowledge.document(standing)
        if standing is not None:
            known = self._knowledge.holds(standing)
            self._access.judge(standing.info, known=known, private=place.private)
        with self._steps("splice"):
            basis = self._second_look.basis(place, document)
            if basis is not document:
                self._remarks.event("rival_write_recovered")
            merged = ownership.merge(
                basis,
                asked.put,
                instance=self._instance,
                issued=self._pieces.issued,
                leave=asked.leave,
                withdraw=asked.withdraw,
            )
        taken = self._knowledge.taken_from(document, asked.put)
        misfit = standing is not None and not self._access.fits(standing.info)
        written = misfit or merged.data != document.data
        if written:
            self._write(place, standing, merged.document, alone=basis is document)
        else:
            self._second_look.taken_over(place)
            if standing is not None:
                self._knowledge.saw(standing, merged.document)
            self._make_durable(place)
        self._remarks.merged(merged)
        for section in taken:
            self._remarks.event("section_repaired", section=section)
        if standing is not None and standing.info.st_nlink > 1:
            self._remarks.condition("hard_linked", links=standing.info.st_nlink)
        hiding = next((flaw for flaw in merged.flaws if flaw.fatal), None)
        return PublishReport(
            written=written,
            size=len(merged.data),
            removed=merged.removed,
            refused=merged.refused + asked.refused,
            remarks=self._remarks.take(),
            flaw=f"line {hiding.line}: {hiding.reason}" if hiding else None,
        )

    def _write(
        self, place: Place, standing: Standing | None, document: Document, *, alone: bool
    ) -> None:
        """Write a new file; `alone`: it differs from what stands by what is ours alone."""
        with self._steps("attributes"):
            attributes = self._access.attributes(standing.descriptor if standing else None)
        data = document.data
        temporary = writing.prepare(place, data, attributes, self._steps)
        try:
            made = version(os.fstat(temporary.descriptor))
            self._second_look.note(leftovers.before(temporary, standing, made, alone=alone))
            successor = made if alone else None
            replaced = rivals.swap(place, temporary, standing, data, successor, steps=self._steps)
            try:
                rivals.confirm(place, temporary, replaced, self._steps)
            except PublishError:
                self._took_over(place, standing, replaced, document)
                raise
            self._took_over(place, standing, replaced, document)
            if replaced is not None:
                atomic.narrow(replaced.descriptor, attributes.mode)
            info = writing.stamp(temporary, self._steps, self._clock)
            if replaced is not None and replaced.successor is not None:
                replaced.successor = made._replace(mtime=info.st_mtime_ns)
                self._second_look.note()
            self._make_durable(place)
        finally:
            temporary.drop()
        self._knowledge.wrote(document, info)
        if replaced is not None and replaced.name is None:
            self._remarks.once("exchange_unsupported")

    def _took_over(
        self, place: Place, standing: Standing | None, replaced: Replaced | None, document: Document
    ) -> None:
        """Note that the new file stands, not yet durably; keep what it replaced."""
        self._durable = False
        self._knowledge.wrote(document)
        if standing is not None:
            standing.handed_on = True
        self._second_look.taken_over(place, *([] if replaced is None else [replaced]))

    def _make_durable(self, place: Place) -> None:
        """Finish a write that failed after its swap."""
        if not self._durable:
            with self._steps("sync_directory"):
                os.fsync(place.directory)
            self._durable = True
