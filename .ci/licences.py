"""Print the `copyright` of the Debian package: whose work it holds, and under which terms.

python .ci/licences.py SITE_PACKAGES > copyright
"""

from __future__ import annotations

import sys
from importlib.metadata import Distribution, distributions


def terms(package: Distribution) -> str:
    """Return a distribution's licence, by whichever field says it."""
    about = package.metadata
    named = about.get("License-Expression") or about.get("License", "")
    classifiers = [
        line.rpartition(" :: ")[2]
        for line in about.get_all("Classifier") or []
        if line.startswith("License ::")
    ]
    return (named.splitlines() or [""])[0] or ", ".join(classifiers) or "see its files"


HEAD = """\
credfresh is its authors' work. /opt/credfresh holds these Python packages too, as published
on PyPI; the texts of their licences lie beside each.

"""


def main(site: str) -> None:
    """Print a line for each distribution but our own."""
    found = sorted(distributions(path=[site]), key=lambda package: package.name.lower())
    sys.stdout.write(HEAD)
    for package in found:
        if package.name != "credfresh":
            sys.stdout.write(f"  {package.name} {package.version}: {terms(package)}\n")


if __name__ == "__main__":
    main(sys.argv[1])
