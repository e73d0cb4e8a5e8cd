"""Break each invariant on purpose, as `mutants.md` lists it, and see the named test fail.

    python tests/mutants.py [PART-OF-A-TITLE]

Every mutant is applied to a copy of the package, never to the checkout. Exit status 1 when a
mutant survives, or cannot be applied because the code has moved on.
"""

from __future__ import annotations

import gc
import importlib
import os
import re
import shutil
import sys
import tempfile
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HEAVY = (
    "boto3",
    "botocore.session",
    "hypothesis.extra.pytestplugin",
    "pydantic",
    "apscheduler.schedulers.background",
    "pytest_timeout",
    "xdist.plugin",
)
# A test that dies of something that does not come has waited for it, up to a minute.
CHILDREN = 6 * (os.cpu_count() or 1)
# pytest warns that it did not import hypothesis itself.
LOADED = ("-W", "ignore::pytest.PytestAssertRewriteWarning")
# An error of the mutant itself, which any test would notice.
BROKEN = re.compile(
    r"^E +((?:Syntax|Indentation|Import|ModuleNotFound|Name|UnboundLocal|Type)Error)\b",
    re.MULTILINE,
)
ENTRY = re.compile(
    r"^### (?P<title>.+?)\n+`(?P<file>[^`]+)`\n+"
    r"```diff\n(?P<diff>.+?)```\n+dies: `(?P<test>[^`]+)`",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Mutant:
    """One deliberate mistake, and the test that must notice it."""

    title: str
    file: str
    was: str
    becomes: str
    test: str

    def stale(self) -> str:
        """Say why it cannot be applied to the code as it is; return "" if it can."""
        count = (ROOT / self.file).read_text().count(self.was)
        return "" if count == 1 else f"stale: its text stands {count} times in {self.file}"

    def apply(self, home: Path) -> None:
        """Copy the package to `home`, with the mistake in it."""
        shutil.copytree(ROOT / "daemon", home / "daemon")
        target = home / self.file
        target.write_text(target.read_text().replace(self.was, self.becomes))


def listed() -> list[Mutant]:
    """Return the mutants that mutants.md lists."""
    text = (ROOT / "tests" / "mutants.md").read_text()
    return [
        Mutant(
            title=entry["title"],
            file=entry["file"],
            was=_side(entry["diff"], "-"),
            becomes=_side(entry["diff"], "+"),
            test=entry["test"],
        )
        for entry in ENTRY.finditer(text)
    ]


def verdicts(mutants: list[Mutant]) -> Iterator[tuple[Mutant, str]]:
    """Yield each mutant's verdict, in the order in which they come: `killed`, or what is wrong."""
    # Each mutant dies in a forked child, which need not import these again.
    for heavy in HEAVY:
        importlib.import_module(heavy)
    gc.freeze()  # nor look at them again whenever pytest collects garbage
    waiting = list(reversed(mutants))
    with tempfile.TemporaryDirectory(prefix="credfresh-mutants-") as scratch:
        running: dict[int, tuple[Mutant, Path]] = {}
        while waiting or running:
            while waiting and len(running) < CHILDREN:
                mutant = waiting.pop()
                home = Path(scratch, str(len(waiting)))
                if said := mutant.stale():
                    yield mutant, said
                    continue
                mutant.apply(home)
                running[_started(mutant, home)] = mutant, home
            if running:
                pid, status = os.wait()
                mutant, home = running.pop(pid)
                said = (home / "said").read_text(errors="replace")
                yield mutant, _judged(os.waitstatus_to_exitcode(status), said)
                shutil.rmtree(home, ignore_errors=True)


def main() -> int:
    """Try every mutant whose title holds the argument (all without one)."""
    wanted = sys.argv[1] if len(sys.argv) > 1 else ""
    mutants = [m for m in listed() if wanted in m.title]
    alive = 0
    for mutant, said in verdicts(mutants):
        alive += said != "killed"
        print(f"{said:10} {mutant.title}  ({mutant.test})", flush=True)  # noqa: T201 - its purpose
    print(f"{len(mutants) - alive} killed, {alive} not")  # noqa: T201 - the same
    return 1 if alive or not mutants else 0


def _started(mutant: Mutant, home: Path) -> int:
    """Run the mutant's test in a child against the mistaken copy; return the child's process id."""
    pid = os.fork()
    if pid:
        return pid
    code = 70
    try:
        out = os.open(home / "said", os.O_WRONLY | os.O_CREAT, 0o600)
        os.dup2(out, 1)
        os.dup2(out, 2)
        os.chdir(ROOT)
        # The first is for the child, the second for processes that its test starts.
        sys.path.insert(0, str(home / "daemon"))
        os.environ["PYTHONPATH"] = str(home / "daemon")
        sys.dont_write_bytecode = True
        os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
        # Of the directory that they share by default, others sweep what they find while we look.
        apart = f"--basetemp={home / 'tmp'}"
        code = pytest.main(["-qx", "-p", "no:cacheprovider", apart, *LOADED, mutant.test])
    except BaseException:  # noqa: BLE001 - nothing may run on in the child
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(code)


def _judged(code: int, said: str) -> str:
    if broken := BROKEN.search(said):
        return f"broken by {broken[1]}: no program at all, rather than one with a mistake"
    if code == pytest.ExitCode.TESTS_FAILED and " failed" in said:
        return "killed"
    return "SURVIVED" if code == pytest.ExitCode.OK else f"no verdict ({code}):\n{said}"


def _side(diff: str, sign: str) -> str:
    return "".join(line[1:] + "\n" for line in diff.splitlines() if line.startswith(sign))


if __name__ == "__main__":
    raise SystemExit(main())
