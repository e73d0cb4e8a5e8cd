"""The log: one line an event, JSON for machines or colours for people. The only door to structlog.

Rules: an event is a name and fields, never prose; every line of stdout and stderr is one event,
also the messages of other libraries, warnings and uncaught errors. Of an error only its type and
the places it came through are shown, never its text or local variables, which may quote a secret.
Library loggers that print whole answers of STS stay at INFO, whatever the level.
"""

from credfresh.logs.capture import configure, follow
from credfresh.logs.log import Log

__all__ = ["Log", "configure", "follow"]
