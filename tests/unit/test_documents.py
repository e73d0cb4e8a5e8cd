"""What the documents say about the project is true."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

import credfresh

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")


def contracts() -> list[dict[str, Any]]:
    """Return import-linter's contracts."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    found: list[dict[str, Any]] = project["tool"]["importlinter"]["contracts"]
    return found


def rows(page: str, heading: str) -> Iterator[list[str]]:
    """Return the cells of the table whose header row begins with `heading`."""
    lines = iter(page.splitlines())
    assert any(line.startswith(f"| {heading} |") for line in lines), heading
    next(lines)
    for line in lines:
        if not line.startswith("|"):
            return
        yield [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    """A link within the repository names a file, and a heading of it, that exists."""
    text = re.sub(r"(?ms)^```.*?^```", "", page.read_text(encoding="utf-8"))
    for link in LINK.finditer(text):
        target, _, anchor = link["target"].partition("#")
        if re.match(r"[a-z]+:", target):
            assert target.startswith("https://"), target
            continue
        file = (page.parent / target) if target else page
        assert file.exists(), link["target"]
        if anchor:
            assert anchor in anchors(file), link["target"]


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"(?m)^#+ (.+)$", page.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def layers(of: str) -> list[str]:
    """Return the layers that import-linter holds for a package."""
    [found] = [c for c in contracts() if c["type"] == "layers" and c["containers"] == [of]]
    assert found["exhaustive"]
    held: list[str] = found["layers"]
    return held


@pytest.mark.parametrize(
    ("package", "heading"),
    [
        ("credfresh", "layer"),
        ("credfresh.life", "in `life`"),
        ("credfresh.splice", "in `splice`"),
        ("credfresh.disk", "in `disk`"),
    ],
)
def test_the_tables_of_layers_are_the_contracts_of_import_linter(
    package: str, heading: str
) -> None:
    """Each table of layers is one that import-linter holds, in its order, and no module escapes."""
    held = layers(package)
    page = [
        re.sub(r"[`\\]", "", cells[0]) for cells in rows(ARCHITECTURE, heading) if cells[0] != "---"
    ]
    assert held == page
    home = Path(credfresh.__file__).parent.joinpath(*package.split(".")[1:])
    parts = {p.stem for p in home.glob("*.py")} | {
        p.parent.name for p in home.glob("*/__init__.py")
    }
    assert set(re.findall(r"\w+", " ".join(held))) == parts - {"__init__"}


def test_the_table_of_doors_is_the_contracts_of_import_linter() -> None:
    """The table of doors has each third party, and its one door."""
    held = {
        ", ".join(c["forbidden_modules"]): {
            re.sub(r"^credfresh\.|\.\*\*$", "", one.split(" -> ")[0]) for one in c["ignore_imports"]
        }
        for c in contracts()
        if c["type"] == "forbidden" and c["source_modules"] == ["credfresh"]
    }
    page = {
        library: set(re.findall(r"`([\w.]+)`", door))
        for library, door in rows(ARCHITECTURE, "library")
        if library != "---"
    }
    assert held == page


def test_modules_that_the_architecture_names_exist() -> None:
    """The page names no file that was moved or removed."""
    package = Path(credfresh.__file__).parent
    for name in re.findall(r"`([\w/.-]+\.(?:py|md|yaml|json|toml))`", ARCHITECTURE):
        assert (package / name).exists() or (ROOT / name).exists(), name


def test_every_failure_of_an_engine_is_explained() -> None:
    """docs/fleet.md has each code, and no other."""
    package = Path(credfresh.__file__).parent / "vault"
    source = "".join(path.read_text(encoding="utf-8") for path in package.glob("*.py"))
    said = re.findall(r'(?m)^[A-Z_]+ = "([A-Z]\w+)"|code="(\w+)"', source)
    page = (ROOT / "docs" / "fleet.md").read_text(encoding="utf-8")
    listed = re.findall(r"`([A-Z][a-z]+[A-Z]\w+)`", page)
    assert {one or other for one, other in said} == set(listed)


def test_the_newest_change_is_of_this_version() -> None:
    """Changelog, package and installed metadata say the same version."""
    changelog = (ROOT / "docs" / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = re.search(r"(?m)^## (\S+)", changelog)
    assert newest is not None
    assert newest[1] == credfresh.__version__ == version("credfresh")


def test_no_page_shows_something_that_is_a_secret() -> None:
    """No access key id in an example could be a real one."""
    for page in PAGES:
        keys = re.findall(r"(?<![A-Z0-9])A[KS]IA[A-Z0-9]{16}(?![A-Z0-9])", page.read_text("utf-8"))
        assert [] == [key for key in keys if "EXAMPLE" not in key], page


def test_the_source_distribution_has_what_its_documents_name() -> None:
    """It has each program that a page says to run, and each file that a page links to."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    included = project["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        named = {ROOT / program for program in re.findall(r"\bsh (\.ci/\w+)", text)}
        targets = (link["target"].partition("#")[0] for link in LINK.finditer(text))
        named |= {(page.parent / target).resolve() for target in targets if ":" not in target}
        for file in named:
            assert f"/{file.relative_to(ROOT).parts[0]}" in included, file


def test_an_installation_by_hand_puts_files_where_the_package_does() -> None:
    """Only the unit differs: it lies in /etc/systemd, for it is the administrator's then."""
    pattern = r'(?m)^(?:install -D -m|put) (\d+) "?(?:\$root/)?(systemd/[\w.-]+)"? (\S+)$'
    by_hand = re.findall(pattern, (ROOT / "docs" / "operations.md").read_text(encoding="utf-8"))
    package = re.findall(pattern, (ROOT / ".ci" / "package").read_text(encoding="utf-8"))
    assert len(package) == 4
    assert [
        (mode, file, place.replace("/lib/systemd", "/etc/systemd"))
        for mode, file, place in sorted(package)
    ] == sorted(by_hand)
