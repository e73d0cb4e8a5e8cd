"""Contents and names of the files of a refreshable twin. Pure text.

A profile has three, beside the two that all profiles share (`config`; `empty`, which is empty):

    NAME.json     the credentials, as a `credential_process` prints them
    NAME.config   an AWS config file with only this profile, which has /bin/cat print NAME.json
    NAME.env      the environment in which an SDK uses NAME.config, and nothing else of the host

Only the first holds secrets. NAME.config has our mark, which proves that the other two are ours.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable

from credfresh.model import SessionCredentials, rfc3339
from credfresh.settings import Profile, Twin

CONFIG, EMPTY = "config", "empty"
"""The names of the files that all profiles share."""

PATH = re.compile(r"(?:/[A-Za-z0-9._-]+)+")
"""A path that every SDK hands to /bin/cat whole: some use a shell, some split at spaces, some
understand no quotes (docs/consumers.md)."""

_PLAIN = re.compile(r"[A-Za-z0-9._-]+")
MARK = "# credfresh v=1 instance="
"""The beginning of our config and environment files."""

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def safe_name(profile: str) -> str:
    """Return the name for a profile's files: its own, if that is safe everywhere.

    Otherwise unsafe characters become `_`, and a hash tells such names apart.
    """
    if _PLAIN.fullmatch(profile):
        return profile
    digest = hashlib.sha256(profile.encode()).hexdigest()[:8]
    return f"{re.sub('[^A-Za-z0-9._-]', '_', profile)}-{digest}"


def credentials_json(profile: Profile, credentials: SessionCredentials) -> bytes:
    """Return the JSON of `credential_process` (SDK reference guide, process credentials).

    `Version` must be a number and `Expiration` must end in Z, or some SDKs refuse it.
    """
    return _rendered({"Version": 1, **_fields(profile, credentials, "SessionToken")})


def container_json(profile: Profile, credentials: SessionCredentials) -> bytes:
    """Return the JSON of the container credentials protocol (SDK reference guide).

    The token has another name here than in a `credential_process`, and there is no version.
    """
    return json.dumps(_fields(profile, credentials, "Token")).encode()


def expiration_of(data: bytes) -> str | None:
    """Return the `Expiration` in `data`; None unless `credentials_json` can have rendered it."""
    try:
        said = json.loads(data)
        if not isinstance(said, dict) or _rendered(said) != data:
            return None
    except (ValueError, RecursionError):
        return None
    expiration = str(said.get("Expiration"))
    return expiration if _TIME.fullmatch(expiration) else None


def access_key_id_of(data: bytes) -> str | None:
    """Return the `AccessKeyId` in `data`; None unless `credentials_json` can have rendered it."""
    return None if expiration_of(data) is None else json.loads(data).get("AccessKeyId")


def config(profiles: Iterable[Profile], instance: str) -> bytes:
    """Return a config file in which each of these profiles prints its twin."""
    parts = [f"{MARK}{instance}\n"]
    parts += (_section(profile, profile.twin) for profile in profiles if profile.twin)
    return "".join(parts).encode()


def env(twin: Twin, instance: str) -> bytes:
    """Return the environment for one profile, as a shell, systemd and docker read it.

    The empty credentials file hides the host's: static keys of the same name outrank the twin.
    AWS_DEFAULT_PROFILE outranks AWS_PROFILE in botocore and C++; the SDKs for Go 1 and
    JavaScript 2 look at a config file only with AWS_SDK_LOAD_CONFIG.
    """
    return (
        f"{MARK}{instance}\n"
        f"AWS_CONFIG_FILE={twin.directory}/{twin.name}.config\n"
        f"AWS_SHARED_CREDENTIALS_FILE={twin.directory}/{EMPTY}\n"
        f"AWS_PROFILE={twin.name}\n"
        f"AWS_DEFAULT_PROFILE={twin.name}\n"
        "AWS_SDK_LOAD_CONFIG=1\n"
    ).encode()


def marked(data: bytes, instance: str) -> bool:
    """Say whether a config file is one that this instance wrote."""
    return data.startswith(f"{MARK}{instance}\n".encode())


def _fields(profile: Profile, credentials: SessionCredentials, token: str) -> dict[str, object]:
    """Return what both kinds of JSON hold; `token` is the name that the session token has there."""
    account = profile.published_account
    return {
        "AccessKeyId": credentials.access_key_id,
        "SecretAccessKey": credentials.secret_access_key,
        token: credentials.session_token,
        "Expiration": rfc3339(credentials.expiration),
        **({} if account is None else {"AccountId": account}),
    }


def _section(profile: Profile, twin: Twin) -> str:
    header = "default" if twin.name == "default" else f"profile {twin.name}"
    region = f"region = {profile.region}\n" if profile.publish_region else ""
    return f"[{header}]\ncredential_process = /bin/cat {twin.path}\n{region}"


def _rendered(said: dict[str, object]) -> bytes:
    return f"{json.dumps(said)}\n".encode()
