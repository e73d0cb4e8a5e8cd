"""The engine on a real OpenBao server: reading, writing, logins and failures."""

from __future__ import annotations

import json
import os
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, cast

import hvac
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from aws_servers import Answer, BusyServer, Request, scripted
from bao import MOUNT, PREFIX, Bao, ShiftedClock, signed
from credfresh import policy
from credfresh.answers import MOST_ANSWER
from credfresh.errors import Mend, RenewalError, Scope
from credfresh.life.desk import Desk
from credfresh.principals import (
    AppRole,
    CertLogin,
    JwtLogin,
    KubernetesLogin,
    TokenFileLogin,
    VaultAuth,
    VaultEngine,
)
from credfresh.vault.engine import ConflictError, Engine
from credfresh.vault.hub import Hub
from credfresh.vault.secret import Version
from credfresh.vault.token import Token
from fakes import EventLog
from programs import free_port

CANARY = "canary-0123456789abcdef"


clock = ShiftedClock()


@pytest.fixture(name="bao", scope="module")
def _bao(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bao]:
    server = Bao(tmp_path_factory.mktemp("bao"))
    yield server
    server.end()


@pytest.fixture(name="hub")
def _hub(bao: Bao, tmp_path: Path) -> Engine:
    return engine(bao, written(tmp_path / "token", bao.token("hub")))


def written(path: Path, text: str) -> TokenFileLogin:
    """Write a token into a file; return the login that uses it."""
    path.write_text(f"{text}\n")
    return TokenFileLogin(str(path))


def engine(bao: Bao, auth: VaultAuth, *, address: str | None = None, ca: bool = True) -> Engine:
    """Return a client of this server."""
    return bao.engine(auth, clock, address=address, ca=ca)


def test_a_version_that_is_written_is_read_back(hub: Engine) -> None:
    """Versions are counted from one, and the newest is read."""
    assert 0 == hub.read("written").number
    assert 1 == hub.write("written", {"a": CANARY}, 0)
    assert 2 == hub.write("written", {"a": "newer"}, 1)

    version = hub.read("written")

    assert (2, {"a": "newer"}) == (version.number, version.document)


def test_a_version_that_is_not_the_newest_is_a_conflict(hub: Engine) -> None:
    """Writing over a version that was not read is a ConflictError, and nothing changes (CAS)."""
    hub.write("fenced", {"a": "1"}, 0)
    with pytest.raises(ConflictError):
        hub.write("fenced", {"a": "2"}, 0)

    assert {"a": "1"} == hub.read("fenced").document


def test_a_version_ends_when_it_was_said_to(hub: Engine, bao: Bao) -> None:
    """A lifetime that was set before a version is written applies to it; metadata can be read."""
    hub.describe("ending", lifetime=120)
    hub.write("ending", {"a": "1"}, 0)
    hub.describe("ending", lifetime=120, about={"role": "arn:aws:iam::111111111111:role/x"})

    about = bao.secret("ending")["metadata"]

    created, ends = (datetime.fromisoformat(about[k]) for k in ("created_time", "deletion_time"))
    assert 120 == round((ends - created).total_seconds())
    assert {"role": "arn:aws:iam::111111111111:role/x"} == about["custom_metadata"]


def test_an_expired_version_is_read_as_none(hub: Engine) -> None:
    """The engine deletes an expired version itself, but goes on counting."""
    hub.describe("gone", lifetime=1)
    hub.write("gone", {"a": CANARY}, 0)
    deadline = time.monotonic() + 20
    while (version := hub.read("gone")).document is not None:
        assert time.monotonic() < deadline

    assert 1 == version.number
    assert 2 == hub.write("gone", {"a": "new"}, 1)


def test_a_deleted_secret_is_gone_with_its_metadata(hub: Engine) -> None:
    """After a deletion a secret reads as if it had never existed."""
    hub.write("deleted", {"a": "1"}, 0)
    hub.delete("deleted")

    assert (0, None) == (hub.read("deleted").number, hub.read("deleted").document)


def test_a_missing_permission_is_named(bao: Bao, tmp_path: Path) -> None:
    """A missing permission needs a human, and the message names path and operation."""
    token = bao.token("default")

    with pytest.raises(RenewalError) as caught:
        engine(bao, written(tmp_path / "token", token)).read("written")

    assert ("EngineForbidden", Mend.HUMAN) == (caught.value.code, caught.value.mend)
    assert f"read {MOUNT}/{PREFIX}/written" in caught.value.message
    assert token not in str(caught.value) + str(caught.value.__context__)


def test_a_host_may_read_and_not_write(bao: Bao, hub: Engine, tmp_path: Path) -> None:
    """With a host's policy a version can be read, but none written."""
    hub.write("followed", {"a": "1"}, 0)
    host = engine(bao, written(tmp_path / "host", bao.token("host")))

    assert {"a": "1"} == host.read("followed").document
    with pytest.raises(RenewalError) as caught:
        host.write("followed", {"a": "2"}, 1)
    assert "EngineForbidden" == caught.value.code


def test_a_refused_connection_concerns_the_endpoint(bao: Bao, tmp_path: Path) -> None:
    """A refused connection concerns the endpoint, so every profile of that engine."""
    nowhere = f"https://127.0.0.1:{free_port()}"

    with pytest.raises(RenewalError) as caught:
        engine(bao, written(tmp_path / "token", "t"), address=nowhere).read("x")

    error = caught.value
    assert ("EngineUnreachable", Scope.ENDPOINT, Mend.TIME) == (error.code, error.scope, error.mend)


def test_an_endless_answer_is_not_read(bao: Bao, tmp_path: Path) -> None:
    """An answer over 1 MiB is not read on: each worker could hold one in memory."""
    with (
        scripted(lambda _: Answer(body="x" * (MOST_ANSWER + 1))) as other,
        pytest.raises(RenewalError) as caught,
    ):
        engine(bao, written(tmp_path / "token", "t"), address=other.url).read("x")

    error = caught.value
    assert ("EngineUnreachable", Scope.ENDPOINT, Mend.TIME) == (error.code, error.scope, error.mend)
    assert "it is longer than 1 MiB" in error.message
    assert "something other than the engine" in str(error.hint)


@pytest.mark.parametrize("status", [429, 500, 502, 504])
@pytest.mark.parametrize("login", [TokenFileLogin, lambda path: AppRole(path, path)])
def test_an_engine_in_trouble_concerns_the_endpoint(
    tmp_path: Path, status: int, login: Callable[[str], VaultAuth]
) -> None:
    """It is so for all who ask, be it a balancer that says so; no login has been refused by it."""
    auth = login(written(tmp_path / "token", "t").path)
    answer = Answer(status=status, body=json.dumps({"errors": ["no"]}))
    with scripted(lambda _: answer) as other, pytest.raises(RenewalError) as caught:
        Engine(VaultEngine(other.url, auth), clock=clock, salt="test").read("x")

    error = caught.value
    assert ("EngineError", Scope.ENDPOINT, Mend.TIME) == (error.code, error.scope, error.mend)


@pytest.mark.parametrize("lent", [{}, {"lease_duration": "soon", "renewable": True}])
def test_a_login_that_is_answered_with_nonsense_fails(
    tmp_path: Path, lent: dict[str, object]
) -> None:
    """A nonsensical answer is a failed login like any other, and the token is not quoted."""
    (tmp_path / "file").write_text(CANARY)
    auth = AppRole(str(tmp_path / "file"), str(tmp_path / "file"))
    answer = json.dumps({"auth": {"client_token": CANARY, **lent}})
    with scripted(lambda _: Answer(body=answer)) as other, pytest.raises(RenewalError) as caught:
        Engine(VaultEngine(other.url, auth), clock=clock, salt="test").read("x")

    assert ("EngineLoginFailed", Scope.SOURCE) == (caught.value.code, caught.value.scope)
    assert CANARY not in str(caught.value)


def test_a_secret_that_is_no_object_is_refused(tmp_path: Path) -> None:
    """A list instead of an object is refused before its fields are used."""
    answer = json.dumps({"data": {"data": ["x"], "metadata": {"version": 1}}})
    auth = written(tmp_path / "token", "t")
    with scripted(lambda _: Answer(body=answer)) as other, pytest.raises(RenewalError) as caught:
        Engine(VaultEngine(other.url, auth), clock=clock, salt="test").read("x")

    assert "EngineError" == caught.value.code


def test_an_unforeseen_error_of_an_engine_does_not_end_a_hub(tmp_path: Path) -> None:
    """An unforeseen error is reported as `engine_failed`, and the hub goes on."""

    class Odd(Engine):
        def read(self, name: str) -> Version:
            raise ZeroDivisionError(name)

    log = EventLog()
    odd = Odd(VaultEngine("http://odd", TokenFileLogin(str(tmp_path))), clock=clock, salt="test")
    hub = Hub(odd, name="one", clock=clock, roll=lambda: 0.0, emit=log, patience=5.0)
    hub.open(cast("Desk", None))
    [told] = log.of("engine_failed")
    assert "http://odd: ZeroDivisionError when asked to keep the lease" in str(told["error"])
    hub.close()


def test_an_engine_in_trouble_is_asked_once_a_second_at_most(tmp_path: Path) -> None:
    """A failing engine is asked only every FLOOR seconds, however often profiles renew."""
    asked = []

    class Gone(Engine):
        def read(self, name: str) -> Version:
            asked.append(name)
            raise RenewalError("gone", code="EngineUnreachable", mend=Mend.TIME)

    gone = Gone(VaultEngine("http://gone", TokenFileLogin(str(tmp_path))), clock=clock, salt="test")
    hub = Hub(gone, name="one", clock=clock, roll=lambda: 0.0, emit=EventLog(), patience=5.0)
    hub.open(cast("Desk", None))
    pause, began = threading.Event(), time.monotonic()
    for _ in range(20):
        hub.update({"dev": None})
        pause.wait(0.01)
    hub.close()

    assert len(asked) <= 2 + (time.monotonic() - began) / policy.FLOOR


@pytest.mark.timeout(60)
def test_a_fifo_as_ca_file_holds_up_nothing(tmp_path: Path) -> None:
    """OpenSSL would wait for a writer of the FIFO."""
    os.mkfifo(tmp_path / "ca")
    where = VaultEngine(
        f"https://127.0.0.1:{free_port()}",
        written(tmp_path / "token", "t"),
        ca_file=str(tmp_path / "ca"),
    )
    with pytest.raises(RenewalError) as caught:
        Engine(where, clock=clock, salt="test").read("x")

    assert f"{tmp_path}/ca: Not a regular file" == caught.value.message


def test_an_untrusted_certificate_is_refused_with_the_reason(bao: Bao, tmp_path: Path) -> None:
    """Without ca_file the server is not trusted: the message has OpenSSL's reason."""
    with pytest.raises(RenewalError) as caught:
        engine(bao, written(tmp_path / "token", "t"), ca=False).read("x")

    why = "its certificate is not trusted: unable to get local issuer certificate"
    assert caught.value.message.endswith(why)
    assert "set ca_file" == caught.value.hint


def test_without_a_ca_file_the_systems_certificates_are_trusted(
    bao: Bao, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system's certificates count, not only those that a library brings along."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SSL_CERT_FILE", str(bao.certificates.ca))
    login = written(tmp_path / "token", bao.token("hub"))

    assert 0 == engine(bao, login, ca=False).read("trusted").number


def test_requests_ca_bundle_counts_before_the_systems_certificates(
    bao: Bao, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """REQUESTS_CA_BUNDLE comes before the system's certificates."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bao.certificates.ca))
    login = written(tmp_path / "token", bao.token("hub"))

    assert 0 == engine(bao, login, ca=False).read("trusted").number


def test_proxies_of_the_environment_count_on_the_way_to_an_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The variable http_proxy is used, except for hosts in NO_PROXY."""
    where = VaultEngine("http://engine.test.invalid:8200", written(tmp_path / "token", "t"))
    with scripted(lambda _: Answer(status=404, body="{}")) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("no_proxy", "other.test.invalid")
        assert 0 == Engine(where, clock=clock, salt="test").read("x").number
        monkeypatch.setenv("no_proxy", "engine.test.invalid")
        with pytest.raises(RenewalError, match="cannot be reached"):
            Engine(where, clock=clock, salt="test").read("x")

    assert ["http://engine.test.invalid:8200/v1/secret/data/credfresh/x"] == [
        request.path for request in proxy.requests
    ]


def test_a_sealed_engine_is_named_and_serves_again_after(
    bao: Bao, hub: Engine, tmp_path: Path
) -> None:
    """A sealed engine concerns the endpoint, and works again once it is unsealed."""
    del tmp_path
    hub.write("sealed", {"a": "1"}, 0)
    bao.seal()

    with pytest.raises(RenewalError) as caught:
        hub.read("sealed")
    bao.unseal()

    assert ("EngineSealed", Scope.ENDPOINT) == (caught.value.code, caught.value.scope)
    deadline = time.monotonic() + 30
    while True:
        try:
            assert {"a": "1"} == hub.read("sealed").document
            break
        except RenewalError:
            assert time.monotonic() < deadline


def test_approle_logs_in_and_again_when_its_token_ends(bao: Bao, tmp_path: Path) -> None:
    """Both ids are read from files, and a revoked token leads to a new login."""
    admin = bao.admin
    if "approle/" not in admin.sys.list_auth_methods()["data"]:
        admin.sys.enable_auth_method("approle")
    admin.auth.approle.create_or_update_approle("host", token_policies=["host"], token_ttl="1h")
    role_id = admin.auth.approle.read_role_id("host")["data"]["role_id"]
    secret_id = admin.auth.approle.generate_secret_id("host")["data"]["secret_id"]
    (tmp_path / "role").write_text(role_id)
    (tmp_path / "secret").write_text(secret_id)
    host = engine(bao, AppRole(str(tmp_path / "role"), str(tmp_path / "secret")))
    host.read("any")
    listed: Any = admin.list("auth/token/accessors")
    for accessor in listed["data"]["keys"]:
        if "approle" in admin.auth.token.lookup_accessor(accessor)["data"]["path"]:
            admin.auth.token.revoke_accessor(accessor)

    assert 0 == host.read("any").number


def test_rights_that_a_role_was_given_since_need_another_login(bao: Bao, tmp_path: Path) -> None:
    """A token keeps those that it was made with, however often it is renewed."""
    admin = bao.admin
    if "approle/" not in admin.sys.list_auth_methods()["data"]:
        admin.sys.enable_auth_method("approle")
    admin.auth.approle.create_or_update_approle("late", token_policies=[], token_ttl="1h")
    (tmp_path / "role").write_text(admin.auth.approle.read_role_id("late")["data"]["role_id"])
    (tmp_path / "secret").write_text(
        admin.auth.approle.generate_secret_id("late")["data"]["secret_id"]
    )
    own = ShiftedClock()
    host = bao.engine(AppRole(str(tmp_path / "role"), str(tmp_path / "secret")), own)
    with pytest.raises(RenewalError, match="not permitted to read"):
        host.read("any")
    own.boot += policy.CAP
    admin.auth.approle.create_or_update_approle("late", token_policies=["host"], token_ttl="1h")

    assert 0 == host.read("any").number


def test_operations_that_a_policy_denies_cost_few_logins(tmp_path: Path) -> None:
    """Each login is one more token that the engine keeps, and profiles are denied for weeks."""
    login = json.dumps({"auth": {"client_token": "t", "lease_duration": 3600, "renewable": True}})
    file = written(tmp_path / "file", CANARY).path
    own = ShiftedClock()

    def script(request: Request) -> Answer:
        return Answer(body=login) if request.path.endswith("/login") else Answer(403, "{}")

    with scripted(script) as other:
        denied = Engine(VaultEngine(other.url, AppRole(file, file)), clock=own, salt="test")
        for _ in range(5):
            with pytest.raises(RenewalError, match="not permitted to read"):
                denied.read("x")
        assert 2 == sum(request.path.endswith("/login") for request in other.requests)


def test_a_wrong_secret_id_concerns_every_profile_of_the_source(bao: Bao, tmp_path: Path) -> None:
    """A refused login is the source's failure, and its ids are not quoted."""
    admin = bao.admin
    if "approle/" not in admin.sys.list_auth_methods()["data"]:
        admin.sys.enable_auth_method("approle")
    (tmp_path / "role").write_text(CANARY)
    (tmp_path / "secret").write_text(CANARY)

    with pytest.raises(RenewalError) as caught:
        engine(bao, AppRole(str(tmp_path / "role"), str(tmp_path / "secret"))).read("x")

    assert ("EngineLoginFailed", Scope.SOURCE) == (caught.value.code, caught.value.scope)
    assert CANARY not in str(caught.value)


@pytest.mark.timeout(60)
def test_threads_that_wait_for_a_login_share_its_failure(tmp_path: Path) -> None:
    """One after the other, each with its timeouts, they would be past their deadlines."""
    everybody = threading.Barrier(9)

    class Asked(Token):
        def give(self, client: hvac.Client, *, refused: str | None = None) -> str:
            everybody.wait()
            return super().give(client, refused=refused)

    def late(_: Request) -> Answer:
        threading.Event().wait(1.0)  # nobody is so late that he does not wait for it
        return Answer(status=400, body="{}")

    login = written(tmp_path / "file", CANARY).path
    with scripted(late) as other, ThreadPoolExecutor(8) as pool:
        token = Asked(VaultEngine(other.url, AppRole(login, login)), clock=clock, salt="test")
        asked = [pool.submit(token.give, hvac.Client(url=other.url)) for _ in range(8)]
        everybody.wait()
        failures = [each.exception() for each in asked]
        logins = len(other.requests)

    assert ["EngineLoginFailed"] * 8 == [cast("RenewalError", e).code for e in failures]
    assert logins < 8


def test_a_login_that_failed_is_tried_anew(bao: Bao, tmp_path: Path) -> None:
    """By whoever asks after it has failed."""
    path = tmp_path / "token"
    host = engine(bao, TokenFileLogin(str(path)))
    for _ in range(2):
        with pytest.raises(RenewalError, match="No such file"):
            host.read("x")
    path.write_text(bao.token("host"))

    assert 0 == host.read("x").number


def test_a_missing_file_of_a_login_is_named(bao: Bao, tmp_path: Path) -> None:
    """The error has the path and the reason."""
    with pytest.raises(RenewalError) as caught:
        engine(bao, TokenFileLogin(str(tmp_path / "absent"))).read("x")

    assert f"{tmp_path}/absent: No such file or directory" == caught.value.message


@pytest.mark.timeout(60)
def test_a_fifo_holds_up_no_login(bao: Bao, tmp_path: Path) -> None:
    """Opening a FIFO would wait for a writer, and with it all logins of the engine."""
    os.mkfifo(tmp_path / "fifo")
    fifo = str(tmp_path / "fifo")
    (tmp_path / "file").write_text(CANARY)
    file = str(tmp_path / "file")

    for auth in (
        TokenFileLogin(fifo),
        AppRole(file, fifo),
        JwtLogin("host", fifo),
        CertLogin(fifo, file),
        CertLogin(file, fifo),
    ):
        with pytest.raises(RenewalError) as caught:
            engine(bao, auth).read("x")
        assert f"{fifo}: Not a regular file" == caught.value.message
        assert ("EngineLoginFailed", Mend.HUMAN) == (caught.value.code, caught.value.mend)


def test_a_token_file_is_read_at_every_call(bao: Bao, tmp_path: Path) -> None:
    """An agent may replace the token at any time."""
    path = tmp_path / "token"
    host = engine(bao, written(path, "none-such"))
    with pytest.raises(RenewalError):
        host.read("x")
    path.write_text(bao.token("host"))

    assert 0 == host.read("x").number


def test_a_jwt_logs_in(bao: Bao, tmp_path: Path) -> None:
    """The engine trusts the key that signed the JWT."""
    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    admin = bao.admin
    admin.sys.enable_auth_method("jwt")
    admin.auth.jwt.configure(jwt_validation_pubkeys=[public.decode()], default_role="host")
    admin.auth.jwt.create_role(
        "host",
        role_type="jwt",
        allowed_redirect_uris=[],
        user_claim="sub",
        bound_audiences=["credfresh"],
        token_policies=["host"],
    )
    now = int(clock().wall)
    claims = {"sub": "build-1", "aud": "credfresh", "iat": now, "exp": now + 600}
    (tmp_path / "jwt").write_text(signed(claims, key))

    assert 0 == engine(bao, JwtLogin("host", str(tmp_path / "jwt"))).read("x").number


def test_a_client_certificate_logs_in(bao: Bao) -> None:
    """The certificate of the TLS connection is the login."""
    certificate, key = bao.certificates.make("build-host")
    admin = bao.admin
    admin.sys.enable_auth_method("cert")
    admin.auth.cert.create_ca_certificate_role(
        "host", certificate=bao.certificates.ca.read_text(), token_policies=["host"]
    )

    assert 0 == engine(bao, CertLogin(str(certificate), str(key), "host")).read("x").number


class TokenReviews(BaseHTTPRequestHandler):
    """The part of the Kubernetes API that checks a login's token: every token is good."""

    def do_POST(self) -> None:
        """Answer that the token belongs to the service account `ci/credfresh`."""
        self.rfile.read(int(self.headers["Content-Length"]))
        user = {"username": "system:serviceaccount:ci:credfresh", "uid": "1", "groups": []}
        review = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "status": {"authenticated": True, "user": user},
        }
        body = json.dumps(review).encode()
        self.send_response(201)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as it is called there
        """Log nothing."""


def test_the_service_account_of_a_pod_logs_in(bao: Bao, tmp_path: Path) -> None:
    """Its mounted token is checked with a double of the Kubernetes API."""
    certificate, key = bao.certificates.make("kubernetes")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    claims: dict[str, object] = {
        "iss": "kubernetes/serviceaccount",
        "sub": "system:serviceaccount:ci:credfresh",
        "kubernetes.io/serviceaccount/namespace": "ci",
        "kubernetes.io/serviceaccount/service-account.name": "credfresh",
        "kubernetes.io/serviceaccount/service-account.uid": "1",
    }
    (tmp_path / "token").write_text(signed(claims, ec.generate_private_key(ec.SECP256R1())))
    with BusyServer(("127.0.0.1", 0), TokenReviews) as api:
        api.socket = context.wrap_socket(api.socket, server_side=True)
        threading.Thread(target=api.serve_forever, daemon=True).start()
        bao.admin.sys.enable_auth_method("kubernetes")
        bao.admin.auth.kubernetes.configure(
            f"https://127.0.0.1:{api.server_port}",
            token_reviewer_jwt=(tmp_path / "token").read_text(),
            kubernetes_ca_cert=bao.certificates.ca.read_text(),
        )
        bao.admin.auth.kubernetes.create_role("host", "credfresh", "ci", policies=["host"])
        login = KubernetesLogin("host", str(tmp_path / "token"))

        assert 0 == engine(bao, login).read("x").number
        api.shutdown()


def test_a_token_is_renewed_at_half_its_life(bao: Bao, tmp_path: Path) -> None:
    """It is renewed ahead of its end, without another login."""
    admin = bao.admin
    if "approle/" not in admin.sys.list_auth_methods()["data"]:
        admin.sys.enable_auth_method("approle")
    admin.auth.approle.create_or_update_approle(
        "short", token_policies=["host"], token_ttl="1h", token_max_ttl="2h"
    )
    (tmp_path / "role").write_text(admin.auth.approle.read_role_id("short")["data"]["role_id"])
    (tmp_path / "secret").write_text(
        admin.auth.approle.generate_secret_id("short")["data"]["secret_id"]
    )
    own = ShiftedClock()
    host = bao.engine(AppRole(str(tmp_path / "role"), str(tmp_path / "secret")), own)

    def logins() -> int:
        listed: Any = admin.list("auth/token/accessors")
        paths = [admin.auth.token.lookup_accessor(a)["data"] for a in listed["data"]["keys"]]
        return sum(p["meta"] == {"role_name": "short"} for p in paths)

    host.read("x")
    own.boot += 1500
    host.read("x")
    assert 1 == logins()
    own.boot += 300
    (tmp_path / "secret").write_text("no longer needed: the token is renewed")
    host.read("x")
    assert 1 == logins()
