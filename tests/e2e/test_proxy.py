"""Proxies and certificates that the environment names, on the way to STS."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bao import Certificates
from credfresh.simulator import Simulator
from host import Host
from programs import free_port
from proxy import OpeningProxy

NAME = "sts.eu-west-1.test.invalid"
ENDPOINT = {"AWS_ENDPOINT_URL_STS": f"https://{NAME}"}


@pytest.fixture(name="certificates")
def _certificates(tmp_path: Path) -> Certificates:
    directory = tmp_path / "certificates"
    directory.mkdir()
    return Certificates.new(directory)


@pytest.fixture(name="proxy")
def _proxy(certificates: Certificates, sts: Simulator) -> Iterator[OpeningProxy]:
    with OpeningProxy(certificates, sts.url) as proxy:
        yield proxy


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy"])
def test_sts_is_reached_through_a_proxy_that_opens_tls(
    host: Host, proxy: OpeningProxy, certificates: Certificates, variable: str
) -> None:
    """HTTPS_PROXY names the proxy, AWS_CA_BUNDLE its authority; the proxy resolves STS's name."""
    trust = {"AWS_CA_BUNDLE": str(certificates.ca)}
    once = host.start("once", **ENDPOINT, **trust, **{variable: proxy.url})

    assert 0 == once.wait(), once.lines
    assert {NAME} == set(proxy.asked)
    assert {"development", "preproduction", "production"} == set(host.sections())


def test_nothing_is_sent_through_an_untrusted_proxy(
    host: Host, proxy: OpeningProxy, sts: Simulator
) -> None:
    """Without AWS_CA_BUNDLE nothing is sent through the proxy, and the hint names the variable."""
    once = host.start("once", **ENDPOINT, HTTPS_PROXY=proxy.url)

    assert 3 == once.wait()
    assert proxy.asked
    assert 0 == sts.count("AssumeRole")
    [failed, *_] = once.events("endpoint_failed")
    assert "AWS_CA_BUNDLE" in str(failed["hint"])


@pytest.mark.parametrize("excepted", ["NO_PROXY", "no_proxy", None])
def test_hosts_in_no_proxy_are_asked_directly(host: Host, excepted: str | None) -> None:
    """With a dead proxy, an attempt works only if NO_PROXY excludes the host."""
    dead = {"HTTP_PROXY": f"http://127.0.0.1:{free_port()}"}
    direct = {excepted: "169.254.169.254,127.0.0.1"} if excepted else {}

    assert (0 if excepted else 3) == host.start("once", **dead, **direct).wait()
