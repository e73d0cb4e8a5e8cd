"""Three OpenBao nodes that replicate by raft, behind a load balancer as in production."""

from __future__ import annotations

import contextlib
import selectors
import signal
import socket
import ssl
import threading
from functools import partial
from http.client import HTTPSConnection
from pathlib import Path

import hvac

from bao import MOUNT, PATIENCE, POLICIES, BaoNode, Certificates
from host import wait_until
from programs import free_port

CHECK_EVERY = 0.3
CHECK_PATIENCE = 1.0


class Balancer:
    """Passes TCP connections on to a healthy node, as a load balancer does.

    Connections to a node that is no longer healthy are cut.
    """

    def __init__(self, nodes: list[BaoNode], ca: Path) -> None:
        self._nodes = nodes
        self._context = ssl.create_default_context(cafile=str(ca))
        self.port = free_port()
        self._server = socket.create_server(("127.0.0.1", self.port))
        self._healthy: list[int] = []
        self._links: dict[socket.socket, socket.socket] = {}
        self._ports: dict[socket.socket, int] = {}
        self._lock = threading.Lock()
        self._end = threading.Event()
        self._threads = [
            threading.Thread(target=target, daemon=True) for target in (self._check, self._pass_on)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def address(self) -> str:
        """The URL to which clients connect."""
        return f"https://127.0.0.1:{self.port}"

    @property
    def healthy(self) -> int:
        """How many nodes are healthy."""
        return len(self._healthy)

    def end(self) -> None:
        """Stop the balancer, and close all connections."""
        self._end.set()
        for thread in self._threads:
            thread.join(10)
        self._server.close()
        for link in list(self._links):
            link.close()

    def _check(self) -> None:
        while not self._end.wait(CHECK_EVERY):
            self._healthy = [node.port for node in self._nodes if self._is_well(node)]

    def _is_well(self, node: BaoNode) -> bool:
        connection = HTTPSConnection(
            "127.0.0.1", node.port, timeout=CHECK_PATIENCE, context=self._context
        )
        try:
            connection.request("GET", "/v1/sys/health?standbyok=true&perfstandbyok=true")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    def _pass_on(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._server, selectors.EVENT_READ)
            while not self._end.is_set():
                for key, _ in selector.select(0.1):
                    if key.fileobj is self._server:
                        self._accept(selector)
                    else:
                        self._copy(selector, key.fileobj)  # type: ignore[arg-type] # all are sockets
                for link, port in list(self._ports.items()):
                    if port not in self._healthy:
                        self._cut(selector, link)

    def _accept(self, selector: selectors.BaseSelector) -> None:
        client, _ = self._server.accept()
        for port in list(self._healthy):
            try:
                node = socket.create_connection(("127.0.0.1", port), 1)
            except OSError:
                continue
            for one, other in ((client, node), (node, client)):
                self._links[one], self._ports[one] = other, port
                selector.register(one, selectors.EVENT_READ)
            return
        client.close()

    def _copy(self, selector: selectors.BaseSelector, link: socket.socket) -> None:
        if link not in self._links:
            return
        try:
            data = link.recv(65536)
            if data:
                self._links[link].sendall(data)
                return
        except OSError:
            pass
        self._cut(selector, link)

    def _cut(self, selector: selectors.BaseSelector, link: socket.socket) -> None:
        for one in (link, self._links.get(link)):
            if one is not None and one in self._links:
                del self._links[one], self._ports[one]
                with contextlib.suppress(KeyError, ValueError):
                    selector.unregister(one)
                one.close()


class BaoCluster:
    """Three unsealed nodes with engine and policies, behind one address."""

    def __init__(self, root: Path) -> None:
        self.certificates = Certificates.new(root)
        self.nodes = [
            BaoNode(root, self.certificates, name=f"node{number}") for number in (1, 2, 3)
        ]
        try:
            self._prepare()
        except BaseException:
            self._kill()
            raise
        self.balancer = Balancer(self.nodes, self.certificates.ca)
        wait_until(lambda: self.balancer.healthy == 3, "all nodes are well", PATIENCE)

    def _prepare(self) -> None:
        first = self.nodes[0]
        first.start()
        keys = first.client().sys.initialize(1, 1)
        self.unseal_key: str = keys["keys"][0]
        self.root_token: str = keys["root_token"]
        self.unseal(first)
        wait_until(lambda: self._active(first), "the first node leads", PATIENCE)
        for node in self.nodes[1:]:
            node.start()
            node.client().sys.join_raft_cluster(
                first.address, leader_ca_cert=self.certificates.ca.read_text()
            )
            wait_until(partial(self._unsealed, node), f"{node.name} has joined", PATIENCE)
        admin = first.client(self.root_token)
        admin.sys.enable_secrets_engine("kv", path=MOUNT, options={"version": "2"})
        for name in ("hub", "host"):
            admin.sys.create_or_update_policy(name, (POLICIES / f"{name}.hcl").read_text())
        wait_until(lambda: self._mounted(admin), "the engine is mounted", PATIENCE)

    @property
    def address(self) -> str:
        """The URL to which clients connect."""
        return self.balancer.address

    def token(self, policy: str) -> str:
        """Return a token with one policy."""
        client = hvac.Client(
            self.address, verify=str(self.certificates.ca), token=self.root_token, timeout=60
        )
        made = client.auth.token.create(policies=[policy], ttl="1h", no_parent=True)
        return str(made["auth"]["client_token"])

    def unseal(self, node: BaoNode) -> None:
        """Unseal a node, if it answers."""
        with contextlib.suppress(Exception):
            node.client().sys.submit_unseal_key(self.unseal_key)

    def seal(self, node: BaoNode) -> None:
        """Seal a node; only the leader can be sealed."""
        with contextlib.suppress(Exception):
            node.client(self.root_token).sys.seal()

    def mend(self) -> None:
        """Have every node run and be unsealed, and none stopped."""
        for node in self.nodes:
            if not node.runs:
                node.start()
            node.signal(signal.SIGCONT)
            self.unseal(node)

    def end(self) -> None:
        """Stop the balancer and kill all nodes."""
        self.balancer.end()
        self._kill()

    def _kill(self) -> None:
        for node in self.nodes:
            node.kill()

    def _unsealed(self, node: BaoNode) -> bool:
        self.unseal(node)
        try:
            return not node.client().sys.is_sealed()
        except Exception:  # noqa: BLE001 - it is not ready
            return False

    def _active(self, node: BaoNode) -> bool:
        try:
            return bool(node.client().sys.read_leader_status()["is_self"])
        except Exception:  # noqa: BLE001 - it is not ready
            return False

    def _mounted(self, admin: hvac.Client) -> bool:
        try:
            admin.secrets.kv.v2.read_configuration(mount_point=MOUNT)
        except hvac.exceptions.VaultError:
            return False
        return True
