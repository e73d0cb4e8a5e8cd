"""The least life that a reader finds, beside others: `python tests/bench/bench_life.py [--json]`.

Sessions last 80 seconds instead of an hour, and everything else is scaled down alike. Just before
its next renewal each tool meets one trouble after the other: STS is down for what would be ten
minutes; its process is stopped (SIGSTOP) for as long; it is killed, and started again a second
later. A reader looks ten times a second; a session counts from when it was first seen. Each tool
has an STS of its own, so that all run at the same time; it takes some five minutes.

- credfresh, as its unit runs it;
- the short script with one client, from a timer, each half session;
- awsume's autoawsume (if `peers/setup` has installed it), started again by hand when it ends.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import signal
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass

from botocore.configloader import raw_config_parse
from botocore.exceptions import BotoCoreError
from renewers import LIFE, Tool, tools
from stage import FastSts

TROUBLE = LIFE / 6
"""The seconds that a trouble lasts: as ten minutes are to an hour."""

LOOK = 0.1
REST = 1.0
"""Seconds until a killed tool is started again."""

AFTER = 1.15 * LIFE / 2
"""Seconds for which the effect of a trouble is watched: more than half a session."""

pause = threading.Event().wait


class Reader:
    """Looks at one section again and again."""

    def __init__(self, tool: Tool) -> None:
        self._tool = tool
        self._seen: dict[str, float] = {}
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._least = math.inf
        self.renewed = threading.Condition()
        threading.Thread(target=self._look, daemon=True).start()

    def least(self) -> float:
        """Return the least life since the last call, in seconds; 0 if a look found no valid key."""
        with self._lock:
            least, self._least = self._least, math.inf
            return least

    def wait(self, limit: float) -> bool:
        """Wait at most `limit` seconds for new keys; say whether there are any."""
        with self.renewed:
            return self.renewed.wait(limit)

    def close(self) -> None:
        """Stop looking."""
        self._over.set()

    def _look(self) -> None:
        while not self._over.wait(LOOK):
            now = time.monotonic()
            life = 0.0
            with contextlib.suppress(BotoCoreError, OSError):  # bench_peers counts torn reads
                found = raw_config_parse(str(self._tool.path)).get(self._tool.section, {})
                key = found.get("aws_access_key_id")
                if key is not None:
                    if key not in self._seen:
                        self._seen[key] = now
                        with self.renewed:
                            self.renewed.notify_all()
                    life = max(0.0, self._seen[key] + LIFE - now)
            with self._lock:
                self._least = min(self._least, life)


@dataclass(frozen=True, slots=True)
class Found:
    """The least life that a reader of a tool found in each trouble, as shares of a session."""

    tool: str
    calm: float
    outage: float
    stopped: float
    killed: float


def through(name: str, tool: Tool, sts: FastSts) -> Found:
    """Put a tool through all troubles; return what its reader found."""
    sts.wish(life=LIFE)
    tool.start()
    reader = Reader(tool)
    reader.wait(LIFE)
    reader.least()
    pause(0.6 * LIFE)
    calm = reader.least()

    def outage() -> None:
        sts.wish(fail=True)
        pause(TROUBLE)
        sts.wish(fail=False)

    def stopped() -> None:
        tool.signal(signal.SIGSTOP)
        pause(TROUBLE)
        tool.signal(signal.SIGCONT)

    def killed() -> None:
        tool.signal(signal.SIGKILL)
        pause(REST)
        tool.start()

    found = [_least(tool, reader, trouble) / LIFE for trouble in (outage, stopped, killed)]
    reader.close()
    return Found(name, calm / LIFE, *found)


def _least(tool: Tool, reader: Reader, trouble: Callable[[], None]) -> float:
    if not reader.wait(LIFE):
        tool.signal(signal.SIGKILL)  # as an operator would start it again
        tool.start()
        reader.wait(LIFE)
    pause(tool.after)
    reader.least()
    trouble()
    pause(AFTER)
    return reader.least()


def figures() -> list[dict[str, float | str]]:
    """Put all tools through the troubles at the same time; return the figures."""
    with tools() as made, ThreadPoolExecutor(len(made)) as pool:
        return [asdict(found) for found in pool.map(lambda each: through(*each), made)]


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = figures()
    if options.json:
        sys.stdout.write(json.dumps(found) + "\n")
        return 0
    for row in found:
        told = (f"{k} {v:.0%}" if isinstance(v, float) else v for k, v in row.items())
        sys.stdout.write("  ".join(told) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
