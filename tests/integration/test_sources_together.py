"""Concurrent lookups of one source: one serves all, and a hanging one blocks none for long."""

from __future__ import annotations

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from botocore.utils import ContainerMetadataFetcher

import fakes
from aws_servers import Answer, Request, ScriptedServer, scripted
from credfresh.principals import EcsSource, FileSource
from credfresh.settings import StsLimits
from sources import Provide, ProviderAt, container_json, obtain, refused, signers


def test_a_source_is_looked_up_once_for_all_attempts_that_wait(
    provide: Provide, sts: ScriptedServer
) -> None:
    """Sixteen concurrent attempts cost the metadata service one request."""

    def slow(_: Request) -> Answer:
        threading.Event().wait(0.2)
        return Answer(body=container_json("ASIASLOW"))

    with scripted(slow) as container:
        provider = provide(EcsSource(), {"AWS_CONTAINER_CREDENTIALS_FULL_URI": container.url})
        with ThreadPoolExecutor(16) as pool:
            grants = list(pool.map(lambda _: obtain(provider), range(16)))
        assert 1 == len(container.requests)
    assert 16 == len(grants)
    assert {"ASIASLOW"} == set(signers(sts))


def test_a_broken_source_fails_for_all_attempts_that_wait_and_recovers(
    provide: Provide, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Waiting attempts share the failure of one lookup, and the next lookup succeeds."""
    monkeypatch.setattr(ContainerMetadataFetcher, "SLEEP_TIME", 0)  # the SDK's pause between tries
    broken = threading.Event()
    broken.set()

    def answer(_: Request) -> Answer:
        threading.Event().wait(0.2)
        return Answer(404) if broken.is_set() else Answer(body=container_json("ASIABACK"))

    with ExitStack() as stack:
        container = stack.enter_context(scripted(answer))
        provider = provide(EcsSource(), {"AWS_CONTAINER_CREDENTIALS_FULL_URI": container.url})
        with ThreadPoolExecutor(8) as pool:
            errors = list(pool.map(lambda _: refused(provider), range(8)))
        assert {"source_failed"} == {e.code for e in errors}
        broken.clear()
        obtain(provider)
        assert len(container.requests) <= 4, (
            "three tries of the SDK's in one look, then the mended one"
        )


HANGS_ONCE = """
import json, os, sys
if not os.path.exists(sys.argv[1]):
    open(sys.argv[1], "w").close()
    open(sys.argv[2]).read()
    key = "AKIALATE"
else:
    key = "AKIANEXT"
print(json.dumps({"Version": 1, "AccessKeyId": key, "SecretAccessKey": "s"}))
"""


def test_a_lookup_that_hangs_is_written_off_and_its_late_answer_dropped(
    sts: ScriptedServer, tmp_path: Path
) -> None:
    """After a minute the next attempt makes a lookup of its own, whose keys are kept."""
    clock = fakes.FakeClock()
    begun, fifo, path = tmp_path / "begun", tmp_path / "fifo", tmp_path / "source"
    os.mkfifo(fifo)
    (tmp_path / "p.py").write_text(HANGS_ONCE)
    path.write_text(
        f"[ci]\ncredential_process = {sys.executable} {tmp_path / 'p.py'} {begun} {fifo}\n"
    )
    provider = ProviderAt(
        sts.url,
        {"ci": FileSource(str(path), "ci")},
        StsLimits(),
        clock=clock,
        environ={},
    )
    with ThreadPoolExecutor(1) as pool:
        hanging = pool.submit(obtain, provider)
        while not begun.exists():
            assert not hanging.done()
            threading.Event().wait(0.01)
        clock.advance(61)
        obtain(provider)
        fifo.write_text("go on")
        hanging.result(timeout=10)
    obtain(provider)
    assert ["AKIANEXT", "AKIALATE", "AKIANEXT"] == signers(sts)
