"""The methods by which a daemon logs in to the engine. Each login reads its files anew."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import hvac

from credfresh.errors import Mend, RenewalError, Scope
from credfresh.principals import (
    AppRole,
    CertLogin,
    JwtLogin,
    KubernetesLogin,
    TokenFileLogin,
    VaultAuth,
)
from credfresh.regular import must_be_regular, only_regular
from credfresh.vault.failures import LOGIN


class TokenTerms(NamedTuple):
    """What the engine says of a token. `lifetime` is in seconds, 0 if the token does not expire."""

    lifetime: float
    renewable: bool


def log_in(client: hvac.Client, auth: VaultAuth) -> TokenTerms | None:
    """Log in; return what the engine says of the token, None if the token is read from a file.

    The client's token is set in either case.

    Raises:
        RenewalError: a file cannot be read.
        Exception: what hvac raises if the engine refuses or cannot be reached, and what Python
            raises if the answer is no login.
    """
    answer: Mapping[str, Any]
    match auth:
        case TokenFileLogin(path):
            client.token = _read(path)
            return None
        case AppRole(role_id_file, secret_id_file, mount):
            answer = client.auth.approle.login(
                _read(role_id_file), _read(secret_id_file), mount_point=mount
            )
        case JwtLogin(role, token_file, mount):
            answer = client.auth.jwt.jwt_login(role, _read(token_file), path=mount)
        case KubernetesLogin(role, token_file, mount):
            answer = client.auth.kubernetes.login(role, _read(token_file), mount_point=mount)
        case CertLogin(certificate, key, role, mount):
            for path in (certificate, key):
                must_be_usable(path)
            answer = client.auth.cert.login(
                name=role or "", cert_pem=certificate, key_pem=key, mount_point=mount
            )
    return _terms(answer)


def renew(client: hvac.Client) -> TokenTerms:
    """Renew the client's token; return what the engine says of it."""
    return _terms(client.auth.token.renew_self())


def name_of(auth: VaultAuth) -> str:
    """Return the method's name, as in the configuration."""
    names = {
        AppRole: "approle",
        JwtLogin: "jwt",
        KubernetesLogin: "kubernetes",
        CertLogin: "cert",
        TokenFileLogin: "token_file",
    }
    return names[type(auth)]


def _terms(answer: Mapping[str, Any]) -> TokenTerms:
    said = answer["auth"]
    return TokenTerms(float(said["lease_duration"]), bool(said["renewable"]))


def must_be_usable(path: str) -> None:
    """Refuse a file for which OpenSSL would wait, or which it could not open.

    Raises:
        RenewalError: the file is not regular, or cannot be opened.
    """
    try:
        must_be_regular(path)
    except OSError as error:
        raise _unusable(path, error) from None


def _read(path: str) -> str:
    try:
        with open(path, encoding="ascii", opener=only_regular) as file:
            text = file.read().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise _unusable(path, error) from None
    if not text:
        raise RenewalError(f"{path}: is empty", code=LOGIN, mend=Mend.HUMAN, scope=Scope.SOURCE)
    return text


def _unusable(path: str, error: OSError | UnicodeDecodeError) -> RenewalError:
    why = error.strerror if isinstance(error, OSError) else "is not text"
    return RenewalError(
        f"{path}: {why}",
        code=LOGIN,
        mend=Mend.HUMAN,
        scope=Scope.SOURCE,
        hint="it must be a regular file that the daemon's user may read",
    )
