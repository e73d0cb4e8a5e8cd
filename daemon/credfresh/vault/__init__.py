"""A fleet on OpenBao or HashiCorp Vault (KV v2): hubs publish there, hosts follow.

    hub: AssumeRole ─▶ its own files, and MOUNT/PREFIX/PROFILE    (hub)
    host: MOUNT/PREFIX/PROFILE ─▶ its own files                   (provider)

The only door to hvac, which the extra `vault` brings.
"""

from credfresh.vault.engine import Engine, Engines
from credfresh.vault.hub import Hub, HubProvider
from credfresh.vault.provider import VaultProvider

__all__ = ["Engine", "Engines", "Hub", "HubProvider", "VaultProvider"]
