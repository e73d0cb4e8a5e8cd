"""Turns bytes into settings in four stages: document, shape, checks, assembly."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import cache

from credfresh.config import document
from credfresh.config.assemble import assemble
from credfresh.config.checks import Case, check_profiles
from credfresh.config.collisions import check_places
from credfresh.config.drafts import drafts_of
from credfresh.config.endpoint import check_endpoint
from credfresh.config.findings import Findings
from credfresh.config.fleet import check_fleet
from credfresh.config.relations import (
    check_chains,
    check_file_names,
    check_metrics,
    check_sections,
    check_twins,
    targets_of,
)
from credfresh.config.surroundings import Surroundings
from credfresh.config.verdicts import judge_shape
from credfresh.settings import Settings


def parse(
    data: bytes,
    source: str,
    *,
    environment: Mapping[str, str] | None = None,
    hostname: str = "localhost",
    resolve: Callable[[str], str] = os.path.realpath,
    loader: document.Loader | None = None,
) -> Settings:
    """Return the settings that `data` (UTF-8 YAML, at most 8 MiB) describes.

    `source` is the path of the file: it stands in messages, and by default decides `instance`,
    without links being followed: they may lead elsewhere after a release. `environment` gives
    AWS_REGION and the like, `hostname` a part of the session names; `resolve` follows the links of
    a path (nothing else on disk is looked at).

    Raises:
        ConfigError: with every problem that could be found, in the order of the file.
    """
    # Thousands of profiles publish to one file: where it lies is looked up once.
    around = Surroundings(environment or {}, hostname, cache(resolve))
    findings = Findings(source)
    read = document.read(data, findings, loader or document.FASTEST)
    file = judge_shape(read, findings)
    case = Case(file, read.place, drafts_of(file, findings), around.environment, findings)
    _check_presence(case)
    check_profiles(case)
    check_fleet(case)
    check_chains(case)
    targets = targets_of(case, around.resolve)
    check_sections(case, targets, around.resolve)
    check_twins(case, targets, around.resolve)
    check_file_names(case)
    check_endpoint(case, targets, around.resolve)
    check_metrics(case)
    check_places(case, targets, source, around.resolve)
    findings.raise_if_any()
    return assemble(case, targets, source, around)


def _check_presence(case: Case) -> None:
    if case.drafts or case.findings.problems:
        return
    reason = "every profile is disabled" if case.file.profiles else "has no profile"
    case.add(("profiles",), reason, "there must be one to keep fresh")
