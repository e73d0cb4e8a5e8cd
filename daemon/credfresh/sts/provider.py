"""The provider that asks AWS STS: one AssumeRole for each attempt."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from credfresh.errors import RenewalError, Scope
from credfresh.model import Clock, Grant, Instant, SessionCredentials
from credfresh.principals import Principal
from credfresh.settings import Profile, StsLimits
from credfresh.sts.assume import arguments, granted
from credfresh.sts.classify import Caller, classify
from credfresh.sts.clients import Clients, StsEndpoint
from credfresh.sts.codes import REFUSED_KEYS, WRONG_KEYS
from credfresh.sts.keys import SourceKeys
from credfresh.sts.sources import Sources


class StsProvider:
    """Grants session credentials through AssumeRole. Called from many threads at once.

    `sources` are the principals by name. `issued` says whether we issued an access key id
    ourselves: a source that gives such a key reads our own output. The sources read `environ`
    instead of the process's environment, as far as the SDK allows it.
    """

    def __init__(
        self,
        sources: Mapping[str, Principal],
        limits: StsLimits,
        *,
        clock: Clock,
        issued: Callable[[str], bool] = lambda _: False,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self._clock = clock
        self._clients = Clients(limits)
        self._sources = Sources(
            sources,
            clients=self._clients,
            limits=limits,
            clock=clock,
            issued=issued,
            environ=environ,
        )

    def obtain(
        self,
        profile: Profile,
        parent: SessionCredentials | None,
        waits: Callable[[Scope], None] = lambda _: None,
    ) -> Grant:
        """Return fresh credentials for `profile`: one call, or two if STS refuses the keys.

        The keys of `parent` sign if the profile is chained to another, else those of its source. A
        source's keys that STS refuses are looked up again, and used once if they have changed.

        Raises:
            RenewalError: the attempt failed.
        """
        if parent is not None:
            waits(Scope.ENDPOINT)
            caller = Caller(parent=profile.source_profile or parent.access_key_id)
            return self._assume(profile, SourceKeys.of(parent), caller)
        endpoint = StsEndpoint.of(profile)
        keys = self._sources.keys(profile.source, endpoint)
        caller = Caller(source=profile.source)
        waits(Scope.ENDPOINT)
        try:
            return self._assume(profile, keys, caller)
        except RenewalError as error:
            if error.code not in REFUSED_KEYS | WRONG_KEYS:
                raise
            waits(Scope.SOURCE)
            newer = self._sources.after_refusal(
                profile.source, endpoint, refused=keys, known=error.code in WRONG_KEYS
            )
            if newer == keys:
                raise
        waits(Scope.ENDPOINT)
        return self._assume(profile, newer, caller)

    def _assume(self, profile: Profile, keys: SourceKeys, caller: Caller) -> Grant:
        sent = self._clock()
        try:
            assume_role = self._clients.at(StsEndpoint.of(profile))
            sent = self._clock()
            answer = assume_role(arguments(profile), keys)
            return granted(answer, profile, sent, took=self._since(sent))
        except RenewalError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever the SDK raises is a failed attempt
            wall = sent.wall + self._since(sent)
            failure = classify(error, caller, wall=wall, secrets=keys.secrets)
        # Outside of the handler, so that the SDK's error is not chained: its text may quote an
        # answer, with the secrets in it.
        raise failure

    def _since(self, sent: Instant) -> float:
        return self._clock().boot - sent.boot
