"""Every failure that credfresh can name.

An error says what was wrong, where, what was got and what to do (`hint`), and answers the
policy's question: who can mend it (`Mend`) and what else it concerns (`Scope`). No error
carries a secret: messages are built from names, paths, codes and counts.
"""

from __future__ import annotations

from enum import StrEnum

from credfresh.values import dataclass


class Mend(StrEnum):
    """Who can mend a failed renewal; it decides the spacing of the attempts."""

    TIME = "time"  # transient: the same request may succeed by itself
    THROTTLE = "throttle"  # as TIME, and STS asks for patience
    HUMAN = "human"  # the request, the trust policy or the source must change


class Scope(StrEnum):
    """What a failure concerns, beyond the one attempt."""

    NONE = "none"  # nothing: STS was not asked, or it is not known how far the call came
    PROFILE = "profile"  # this profile only: STS has answered
    SOURCE = "source"  # every profile of the same source
    ENDPOINT = "endpoint"  # every profile of an endpoint: no call gets there, or none can be made


def unforeseen(error: BaseException) -> str:
    """Describe an error that nobody foresaw by its type and the line that raised it.

    Its text is not repeated: it may quote a secret.
    """
    name, trace = f"unforeseen {type(error).__name__}", error.__traceback__
    if trace is None:
        return name
    while trace.tb_next is not None:
        trace = trace.tb_next
    file = trace.tb_frame.f_code.co_filename.rpartition("/")[2]
    return f"{name} at {file}:{trace.tb_lineno}"


class CredfreshError(Exception):
    """The base of all errors: a message for people, and a hint that says what to do."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in a configuration, at its position (1-based; 0 if it has none)."""

    source: str
    line: int
    column: int
    path: str
    reason: str
    hint: str | None = None

    def __str__(self) -> str:
        """Render as `file:line:column: path: reason (hint)`, leaving out what is absent."""
        where = f"{self.source}:{self.line}:{self.column}" if self.line else self.source
        path = f" {self.path}:" if self.path else ""
        hint = f"\n    hint: {self.hint}" if self.hint else ""
        return f"{where}:{path} {self.reason}{hint}"


class ConfigError(CredfreshError):
    """The configuration is refused: all of its problems, in the order of the file."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


class RenewalError(CredfreshError):
    """One attempt to obtain session credentials failed.

    `code` is AWS's error code where there is one (`AccessDenied`), else a short word of ours.
    `retry_after` is in seconds, where the server named a time.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str,
        mend: Mend,
        scope: Scope = Scope.PROFILE,
        hint: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.code = code
        self.mend = mend
        self.scope = scope
        self.retry_after = retry_after


_CLOSED = frozenset(
    {"EACCES", "EBUSY", "EFBIG", "ELOOP", "ENAMETOOLONG", "ENOTDIR", "EPERM", "EROFS", "EXDEV"}
    | {"foreign", "foreign_owner", "not_a_file", "planted", "unknown_group", "unknown_owner"}
    | {"writable_by_others"}
)
"""Codes of failures that last until a path, its rights or its mount are changed."""


class PublishError(CredfreshError):
    """Credentials are in memory but could not be published; the old file stands.

    `step` is the step of the write that failed; `code` an errno name (`ENOSPC`) or a word of ours.
    It is tried again for ever, whoever can mend it.
    """

    def __init__(
        self, message: str, *, path: str, step: str, code: str, hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.path = path
        self.step = step
        self.code = code

    @classmethod
    def unforeseen(cls, path: str, error: Exception) -> PublishError:
        """Return the failure to publish to `path` for a reason that nobody foresaw.

        The error itself is not kept: the variables of its frames hold keys.
        """
        return cls(f"{path}: {unforeseen(error)}", path=path, step="publish", code="unforeseen")

    @property
    def mend(self) -> Mend:
        """Who can mend it: space and directories may come by themselves, rights do not."""
        return Mend.HUMAN if self.code in _CLOSED else Mend.TIME

    @property
    def nowhere(self) -> bool:
        """Whether its directory is missing, so that nothing of ours can stand there."""
        return self.step == "resolve" and self.code in {"ENOENT", "ENOTDIR"}


class AlreadyRunningError(CredfreshError):
    """Another daemon keeps the file or the directory, or listens on the socket.

    `keeps` says what it does with `path`, and `key` is the key of the configuration that names it.
    """

    def __init__(
        self,
        path: str,
        *,
        holder: str,
        keeps: str = "keeps this file",
        key: str = "credentials_file",
    ) -> None:
        super().__init__(
            f"{path}: another credfresh {keeps} ({holder})",
            hint=f"stop that one, or give this one another {key}",
        )


class NotAllowedError(CredfreshError):
    """This user may not do what the command would have to."""


class ControlCode(StrEnum):
    """Why the running daemon does not do what it was asked (docs/control.md)."""

    ANOTHER_DAEMON = "another_daemon"
    BAD_REQUEST = "bad_request"
    BUSY = "busy"
    INTERNAL = "internal"
    NO_RELOAD = "no_reload"
    NOT_ALLOWED = "not_allowed"  # also of the client, which may not connect
    STOPPING = "stopping"
    TOO_LONG = "too_long"
    TOO_SLOW = "too_slow"
    UNKNOWN_PROFILE = "unknown_profile"
    UNSUPPORTED_VERSION = "unsupported_version"  # also of the client, about the daemon's

    # The client's own: the daemon has not said them.
    BAD_ANSWER = "bad_answer"  # what answers is no daemon
    NO_DAEMON = "no_daemon"
    OTHER = "other"  # a word of a later daemon

    @classmethod
    def _missing_(cls, value: object) -> ControlCode:  # noqa: ARG003 - enum's signature
        return cls.OTHER


class ControlError(CredfreshError):
    """The running daemon was not reached, or does not do what it was asked."""

    def __init__(self, code: ControlCode, message: str, *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.code = code
