"""Break each invariant on purpose, as `mutants.md` lists it, and see the named test die.

    python tests/mutants.py [PART-OF-A-TITLE]

Every mutant is applied to a copy of the package, never to the checkout. Exit status 1 when a
mutant survives, or cannot be applied because the code has moved on.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
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


def listed() -> list[Mutant]:
    """Read the list."""
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


def verdict(mutant: Mutant) -> str:
    """Return `killed`, or what is wrong."""
    with tempfile.TemporaryDirectory(prefix="credfresh-mutant-") as scratch:
        copy = Path(scratch, "daemon")
        shutil.copytree(ROOT / "daemon", copy, ignore=shutil.ignore_patterns("__pycache__"))
        target = copy.parent / mutant.file
        source = target.read_text()
        if source.count(mutant.was) != 1:
            return f"stale: its text stands {source.count(mutant.was)} times in {mutant.file}"
        target.write_text(source.replace(mutant.was, mutant.becomes))
        env = os.environ | {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
        run = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", mutant.test],
            cwd=ROOT,
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )
        if run.returncode == 1 and " failed" in run.stdout:
            return "killed"
        return "SURVIVED" if run.returncode == 0 else f"no verdict:\n{run.stdout}{run.stderr}"


def main() -> int:
    """Try every mutant whose title holds the argument (all without one)."""
    wanted = sys.argv[1] if len(sys.argv) > 1 else ""
    mutants = [m for m in listed() if wanted in m.title]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        verdicts = list(pool.map(verdict, mutants))
    for mutant, said in zip(mutants, verdicts, strict=True):
        print(f"{said:10} {mutant.title}  ({mutant.test})")  # noqa: T201 - its output is its purpose
    alive = sum(said != "killed" for said in verdicts)
    print(f"{len(mutants) - alive} killed, {alive} not")  # noqa: T201 - the same
    return 1 if alive or not mutants else 0


def _side(diff: str, sign: str) -> str:
    return "".join(line[1:] + "\n" for line in diff.splitlines() if line.startswith(sign))


if __name__ == "__main__":
    raise SystemExit(main())
