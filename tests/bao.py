"""A real OpenBao server on loopback, with TLS and raft storage, for one test."""

from __future__ import annotations

import base64
import datetime as dt
import ipaddress
import json
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hvac
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.x509.oid import NameOID

from credfresh.cli.clock import clock
from credfresh.model import Instant
from credfresh.principals import TokenFileLogin, VaultAuth, VaultEngine
from credfresh.vault.engine import Engine
from host import wait_until
from programs import free_port

BINARY = Path(sys.executable).with_name("bao")
PATIENCE = 60.0
MOUNT = "secret"
PREFIX = "credfresh"

POLICIES = Path(__file__).parents[1] / "config" / "vault"


@dataclass(frozen=True, slots=True)
class Certificates:
    """A certificate authority, and the certificates that it has signed."""

    directory: Path

    @property
    def ca(self) -> Path:
        """The certificate of the authority, which clients trust."""
        return self.directory / "ca.pem"

    def make(self, name: str) -> tuple[Path, Path]:
        """Return certificate and key for `name` on 127.0.0.1, for servers and clients."""
        certificate, key = self.directory / f"{name}.pem", self.directory / f"{name}.key"
        ca_key = serialization.load_pem_private_key(
            (self.directory / "ca.key").read_bytes(), password=None
        )
        assert isinstance(ca_key, ec.EllipticCurvePrivateKey)
        issuer = x509.load_pem_x509_certificate(self.ca.read_bytes()).subject
        _sign(name, issuer, ca_key, certificate, key)
        return certificate, key

    @staticmethod
    def new(directory: Path) -> Certificates:
        """Make an authority in `directory`."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "credfresh test")])
        _sign(None, subject, key, directory / "ca.pem", directory / "ca.key")
        return Certificates(directory)


_MAY_SIGN = x509.KeyUsage(
    key_cert_sign=True,
    crl_sign=True,
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    encipher_only=False,
    decipher_only=False,
)


def _sign(
    name: str | None,
    issuer: x509.Name,
    signer: ec.EllipticCurvePrivateKey,
    certificate: Path,
    key_file: Path,
) -> None:
    key = signer if name is None else ec.generate_private_key(ec.SECP256R1())
    common = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name or "credfresh test")])
    now = dt.datetime.now(dt.UTC)  # noqa: TID251 - certificates live by the real clock
    builder = (
        x509.CertificateBuilder()
        .subject_name(issuer if name is None else common)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=name is None, path_length=None), critical=True)
        # What Python demands of certificates from 3.13 on (ssl.VERIFY_X509_STRICT).
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
    )
    if name is None:
        builder = builder.add_extension(_MAY_SIGN, critical=True)
    else:
        local = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
        names = x509.SubjectAlternativeName([local, x509.DNSName(name)])
        builder = builder.add_extension(names, critical=False)
    signed = builder.sign(signer, hashes.SHA256())
    certificate.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    key_file.touch(mode=0o600)
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


def signed(claims: dict[str, object], key: ec.EllipticCurvePrivateKey) -> str:
    """Return claims as a JWT (RFC 7515, ES256: RFC 7518 section 3.4)."""
    parts = [{"alg": "ES256", "typ": "JWT"}, claims]
    text = b".".join(_base64url(json.dumps(part).encode()) for part in parts)
    r, s = decode_dss_signature(key.sign(text, ec.ECDSA(hashes.SHA256())))
    return (text + b"." + _base64url(r.to_bytes(32) + s.to_bytes(32))).decode()


def _base64url(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


class ShiftedClock:
    """The real clocks, each shifted by hand."""

    def __init__(self) -> None:
        self.wall = 0.0
        self.boot = 0.0

    def __call__(self) -> Instant:
        now = clock()
        return Instant(now.wall + self.wall, now.boot + self.boot)


class BaoNode:
    """One server process. `start` it, then `client` speaks with it.

    A node that is `alone` elects itself without waiting long: no other could answer.
    """

    def __init__(
        self, root: Path, certificates: Certificates, *, name: str = "node1", alone: bool = False
    ) -> None:
        self.root = root / name
        self.root.mkdir()
        self.certificates = certificates
        self.name = name
        self.port, self.cluster_port = free_port(), free_port()
        self.address = f"https://127.0.0.1:{self.port}"
        self.data = self.root / "raft"
        self.data.mkdir()
        self.log = self.root / "server.log"
        self._process: subprocess.Popen[bytes] | None = None
        certificate, key = certificates.make(name)
        raft = {"path": str(self.data), "node_id": name}
        if alone:
            raft["performance_multiplier"] = "1"
        (self.root / "config.json").write_text(
            json.dumps(
                {
                    "storage": {"raft": raft},
                    "listener": {
                        "tcp": {
                            "address": f"127.0.0.1:{self.port}",
                            "cluster_address": f"127.0.0.1:{self.cluster_port}",
                            "tls_cert_file": str(certificate),
                            "tls_key_file": str(key),
                            "tls_client_ca_file": str(certificates.ca),
                        }
                    },
                    "api_addr": self.address,
                    "cluster_addr": f"https://127.0.0.1:{self.cluster_port}",
                    "disable_mlock": True,
                    "log_level": "warn",
                }
            )
        )

    def start(self) -> None:
        """Start the process, and wait until it answers."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [str(BINARY), "server", f"-config={self.root / 'config.json'}"],
                stdout=log,
                stderr=log,
                env={"PATH": "/usr/bin:/bin", "HOME": str(self.root)},
            )
        wait_until(self._answers, f"{self.name} answers", PATIENCE)

    def client(self, token: str = "") -> hvac.Client:
        """Return a client of this node with a token, or with none."""
        return hvac.Client(
            url=self.address, verify=str(self.certificates.ca), token=token, timeout=60
        )

    @property
    def runs(self) -> bool:
        """Whether there is a process."""
        return self._process is not None

    def signal(self, number: int) -> None:
        """Send the process a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """Kill the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log.read_text()
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


class Bao:
    """One node that is initialized, unsealed and has a KV v2 engine with two policies."""

    def __init__(self, root: Path) -> None:
        self.certificates = Certificates.new(root)
        self.node = BaoNode(root, self.certificates, alone=True)
        try:
            self._prepare()
        except BaseException:
            self.node.kill()
            raise

    def _prepare(self) -> None:
        self.node.start()
        client = self.node.client()
        keys = client.sys.initialize(1, 1)
        self.unseal_key: str = keys["keys"][0]
        self.root_token: str = keys["root_token"]
        self.unseal()
        self.admin = self.node.client(self.root_token)
        wait_until(self._mounts, "the engine is mounted", PATIENCE)
        for name in ("hub", "host", "team"):
            policy = (POLICIES / f"{name}.hcl").read_text()
            self.admin.sys.create_or_update_policy(name, policy)

    @property
    def address(self) -> str:
        """The URL of the node."""
        return self.node.address

    def token(self, policy: str, *, ttl: str = "1h", renewable: bool = True) -> str:
        """Return a token with one policy."""
        made: dict[str, Any] = self.admin.auth.token.create(
            policies=[policy], ttl=ttl, renewable=renewable, no_parent=True
        )
        return str(made["auth"]["client_token"])

    def seal(self) -> None:
        """Seal the node."""
        self.admin.sys.seal()

    def unseal(self) -> None:
        """Unseal the node, and wait until it serves."""
        client = self.node.client()
        client.sys.submit_unseal_key(self.unseal_key)
        wait_until(
            lambda: bool(client.sys.is_initialized()) and _active(client),
            "it is unsealed",
            PATIENCE,
        )

    def pause(self) -> None:
        """Stop the process, to be resumed."""
        self.node.signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a stopped process go on."""
        self.node.signal(signal.SIGCONT)

    def secret(self, name: str) -> dict[str, Any]:
        """Return data and metadata of a secret's newest version."""
        answer: dict[str, Any] = self.admin.secrets.kv.v2.read_secret_version(
            f"{PREFIX}/{name}", mount_point=MOUNT, raise_on_deleted_version=False
        )
        data: dict[str, Any] = answer["data"]
        return data

    def engine(
        self,
        auth: VaultAuth,
        clock: Callable[[], Instant],
        *,
        address: str | None = None,
        ca: bool = True,
        prefix: str = PREFIX,
    ) -> Engine:
        """Return the engine as the daemon makes it."""
        where = VaultEngine(
            address or self.address,
            auth,
            mount=MOUNT,
            prefix=prefix,
            ca_file=str(self.certificates.ca) if ca else None,
        )
        return Engine(where, clock=clock, salt="test")

    def logged_in(self, policy: str, directory: Path) -> TokenFileLogin:
        """Return a login with a token of this policy, which is in a file."""
        path = directory / f"{policy}.token"
        path.write_text(f"{self.token(policy)}\n")
        return TokenFileLogin(str(path))

    def end(self) -> None:
        """Kill the server and delete its data."""
        self.node.kill()
        shutil.rmtree(self.node.root)

    def _mounts(self) -> bool:
        try:
            self.admin.sys.enable_secrets_engine("kv", path=MOUNT, options={"version": "2"})
            self.admin.secrets.kv.v2.configure(max_versions=10, mount_point=MOUNT)
        except hvac.exceptions.InvalidRequest:  # a KV v2 engine that upgrades itself
            pass
        except hvac.exceptions.VaultError:
            return False
        try:
            self.admin.secrets.kv.v2.read_configuration(mount_point=MOUNT)
        except hvac.exceptions.VaultError:
            return False
        return True


def _active(client: hvac.Client) -> bool:
    try:
        return bool(client.sys.read_health_status(method="GET")["initialized"])
    except (hvac.exceptions.VaultError, KeyError, TypeError):
        return False
