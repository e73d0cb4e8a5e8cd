"""Says what was probably meant by a key that the file cannot have."""

from __future__ import annotations

import re

from credfresh.config.document import Document
from credfresh.config.echo import Path, closest
from credfresh.config.findings import Findings, key_of, value_or_parent
from credfresh.config.known_keys import home_of, known_keys, value_at
from credfresh.config.source_shapes import SOURCE_KINDS

_AS_SOURCE = "say it as a source: sources: {{NAME: {{{}}}}}, and `source: NAME`"
_NO_SIGN_IN = "nobody is there to sign in: let the role trust a principal that needs no browser"
_AWS_WORDS = {
    "credential_source": _AS_SOURCE.format("ec2_instance_metadata: true"),
    "web_identity_token_file": _AS_SOURCE.format("web_identity: {token_file: PATH, role_arn: ARN}"),
    "duration_seconds": "did you mean `duration`?",
    "name": "its name is the key that it stands under",
    "mfa_serial": "nobody is there to type a code: let the role trust a principal without MFA",
}
"""Keys of ~/.aws/config that people bring along, and what to say instead."""

_KEY_MATERIAL = frozenset(
    {"accesskeyid", "accesskey", "secretaccesskey", "secretkey", "sessiontoken", "securitytoken"}
)
KEYS_HINT = (
    "keys do not belong in this file: keep them in one of their own, for the daemon's user alone,"
    " and name it: sources: {NAME: {credentials_file: PATH, profile: PROFILE}}, and `source: NAME`"
)


def is_key_material(key: str) -> bool:
    """Say whether a key of the file has a name that SDKs give to a part of an access key."""
    plain = key.lower().replace("_", "").replace("-", "")
    return plain.removeprefix("aws") in _KEY_MATERIAL


def add_unknown_key(path: Path, document: Document, findings: Findings) -> str | None:
    """Record an unknown key; return the key that was probably meant."""
    known = known_keys(path[:-1], document.data)
    hint, meant = _hint(str(path[-1]), path, document, known)
    findings.hide_below(path)
    place = key_of(value_or_parent(document.place, path))
    findings.add(place, path, "unknown key", hint=hint)
    return meant


def _hint(
    key: str, path: Path, document: Document, known: tuple[str, ...]
) -> tuple[str, str | None]:
    """Return what to say about an unknown key, and which key of those known here was meant."""
    value = document.data[key] if len(path) == 1 else None
    if isinstance(value, dict) and "role_arn" in value:
        return "a profile stands below `profiles:`, indented", None
    plain = re.sub(r"[^\x21-\x7e]", "", key)
    home = home_of(key)
    if plain != key and home_of(plain):
        hint = f"it is `{plain}` with characters that are not plain: type the line anew"
        return hint, plain if plain in known else None
    if brought := _brought(key, path):
        return brought, None
    meant = closest(key, known, least=0.9 if home else 0.6)
    if meant:
        return f"did you mean `{meant}`?", meant
    return f"it belongs {home}" if home else f"known here: {', '.join(known)}", None


def _brought(key: str, path: Path) -> str | None:
    """Return the hint for a key that people know from elsewhere."""
    if is_key_material(key):
        return KEYS_HINT
    if key in SOURCE_KINDS and path[0] in {"profiles", "defaults"}:
        return _AS_SOURCE.format(f"{key}: …")
    return _NO_SIGN_IN if key.startswith("sso_") else _AWS_WORDS.get(key)


def meant_beside(path: Path, document: Document) -> frozenset[Path]:
    """Return the keys of which the unknown keys beside `path` are probably misspellings."""
    known = known_keys(path[:-1], document.data)
    siblings = value_at(document.data, path[:-1])
    slips = (closest(key, known) for key in list(siblings)[:100] if key not in known)
    return frozenset((*path[:-1], slip) for slip in slips if slip)
