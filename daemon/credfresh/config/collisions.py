"""Checks that no two places to which the daemon writes coincide, and none with the file itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from credfresh.config.checks import Case
from credfresh.config.echo import Path, shown
from credfresh.settings import FileTarget, UnixAddress

BESIDE = (".lock", ".credfresh")
"""Endings of the names of the files that the daemon keeps beside each credentials file."""


def check_places(
    case: Case, targets: Mapping[str, FileTarget], source: str, resolve: Callable[[str], str]
) -> None:
    """Check that nothing is overwritten by something else that the daemon writes or listens at."""
    taken = {resolve(source): "this configuration"}
    for kept in dict.fromkeys(target.path for target in targets.values()):
        taken |= {f"{resolve(kept)}{end}": f"a lock of {shown(kept)}" for end in BESIDE}
    for key, what, path in _places(case, targets):
        found = taken.setdefault(resolve(path), what)
        if found != what:
            reason = f"is the place of {found} (got {shown(path)})"
            case.add(key, reason, "one would take the place of the other: name another")
    endpoint, metrics = case.file.endpoint, case.file.metrics
    if endpoint is not None and metrics is not None and endpoint.listen == metrics.listen:
        reason = "is what `metrics.listen` says, too"
        case.add(("endpoint", "listen"), reason, "each needs a port of its own")


def _places(case: Case, targets: Mapping[str, FileTarget]) -> Iterator[tuple[Path, str, str]]:
    """Yield the key, the description and the path of each place: credentials files first."""
    file = case.file
    whose = {target.path: name for name, target in reversed(list(targets.items()))}
    for path, name in sorted(whose.items(), key=lambda item: item[1] != ""):
        if name:
            yield (
                ("profiles", name, "credentials_file"),
                f"the `credentials_file` of profile {shown(name)}",
                path,
            )
        else:
            yield ("credentials_file", "path"), "`credentials_file`", path
    if file.process_dir is not None:
        yield ("process_dir",), "`process_dir`", file.process_dir
    if file.endpoint is not None:
        yield ("endpoint", "token_dir"), "`endpoint.token_dir`", file.endpoint.token_dir
    if file.control is not None and file.control.socket is not None:
        yield ("control", "socket"), "`control.socket`", file.control.socket
    if file.metrics is not None:
        if file.metrics.textfile is not None:
            yield ("metrics", "textfile"), "`metrics.textfile`", file.metrics.textfile
        if isinstance(file.metrics.listen, UnixAddress):
            yield ("metrics", "listen"), "`metrics.listen`", file.metrics.listen.path
