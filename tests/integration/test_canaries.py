"""Canaries for the three leaks that the libraries here are known for.

Each test shows first that the leak is real (otherwise it could not fail), then that we avoid it.
"""

from __future__ import annotations

import io
import json
import logging
import sys
import traceback
from collections.abc import Iterator

import pydantic
import pytest
import structlog.tracebacks

import fakes
from capture import Stream, process_restored
from configs import one_profile
from credfresh.cli.clock import clock
from credfresh.config.parse import parse
from credfresh.errors import ConfigError
from credfresh.logs import configure
from credfresh.principals import EnvironmentSource
from credfresh.settings import LogSettings, StsLimits
from credfresh.simulator import Simulator
from simulated import ROLE_ARN, USER_ARN
from sources import ProviderAt

CANARY = "canary-9f3b1c"
"""A secret of a form that no filter recognizes, so only code that never prints it passes."""


@pytest.fixture(name="stream")
def _stream() -> Iterator[Stream]:
    """Return the stream that this process logs to, at level debug."""
    stream = Stream()
    with process_restored():
        configure(LogSettings(level="debug"), stream=stream, clock=clock)
        yield stream


def failed_with_canary() -> BaseException:
    """Return an error that has the canary in a local variable and in its text."""
    secret_access_key = CANARY
    with pytest.raises(ValueError, match=CANARY) as caught:
        int(secret_access_key)
    return caught.value


def test_tracebacks_show_no_local_variables(stream: Stream) -> None:
    """Tracebacks are logged without the locals of their frames, which structlog would list."""
    error = failed_with_canary()
    leak = structlog.tracebacks.ExceptionDictTransformer()
    assert CANARY in json.dumps(leak((type(error), error, error.__traceback__)), default=str)

    logging.getLogger("somebody").error("failed", exc_info=error)
    sys.excepthook(type(error), error, error.__traceback__)

    assert ["library", "unexpected_error"] == [line["event"] for line in stream.lines()]
    assert CANARY not in stream.getvalue()


def test_botocore_does_not_log_what_sts_answered(stream: Stream) -> None:
    """The answers of STS stay out of the log, though botocore at DEBUG logs every body."""
    with Simulator(clock) as sts:
        user = sts.add_user(USER_ARN)
        sts.add_role(ROLE_ARN, trusts={user.arn})
        provider = ProviderAt(
            sts.url,
            {"ci": EnvironmentSource()},
            StsLimits(),
            clock=clock,
            environ={
                "AWS_ACCESS_KEY_ID": user.access_key_id,
                "AWS_SECRET_ACCESS_KEY": user.secret_access_key,
            },
        )
        profile = fakes.profile("deploy", source="ci")
        sts.add_role(profile.role_arn, trusts={user.arn})

        granted = provider.obtain(profile, None).credentials
        assert granted.secret_access_key not in stream.getvalue()
        assert granted.session_token not in stream.getvalue()

        leak = io.StringIO()
        botocore = logging.getLogger("botocore")
        before, handler = botocore.level, logging.StreamHandler(leak)
        botocore.addHandler(handler)
        botocore.setLevel(logging.DEBUG)
        try:
            granted = provider.obtain(profile, None).credentials
        finally:
            botocore.removeHandler(handler)
            botocore.setLevel(before)
        assert granted.session_token in leak.getvalue()


class Model(pydantic.BaseModel):
    """A pydantic model without any precautions."""

    model_config = pydantic.ConfigDict(extra="forbid")
    external_id: int


def test_input_that_pydantic_refuses_is_not_repeated() -> None:
    """Our errors do not quote the input that was refused, as pydantic's ValidationError does."""
    with pytest.raises(pydantic.ValidationError) as leak:
        Model.model_validate({"external_id": CANARY, "aws_secret_access_key": CANARY})
    assert CANARY in str(leak.value)

    for line in (f"external_id: [{CANARY}]", f"aws_secret_access_key: {CANARY}"):
        with pytest.raises(ConfigError) as caught:
            parse(one_profile(line).encode(), "c.yaml", hostname="h", resolve=str)
        assert CANARY not in "".join(traceback.format_exception(caught.value))
        assert CANARY not in repr(caught.value.problems)
        assert caught.value.__context__ is None


def test_the_values_that_hold_secrets_do_not_show_them() -> None:
    """Neither `repr` nor `str` of credentials and grants shows a secret."""
    grant = fakes.grant(fakes.profile(), fakes.FakeClock()())
    secrets = (grant.credentials.secret_access_key, grant.credentials.session_token)
    assert all(len(secret) > 8 for secret in secrets)
    for value in (grant, grant.credentials, [grant], {"grant": grant}):
        assert not [secret for secret in secrets if secret in f"{value!r} {value}"]
