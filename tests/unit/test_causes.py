"""What caused an error, however the libraries wrap it."""

import ssl

import pytest

from credfresh.causes import beneath, certificate_refusal


class _WrappingError(Exception):
    """Like botocore's errors, which keep what they wrap among their arguments by name."""

    def __init__(self, error: BaseException) -> None:
        super().__init__("could not")
        self.kwargs = {"error": error}


class _ReasonedError(Exception):
    """Like urllib3's and OpenSSL's errors: the reason is another error, or a word."""

    def __init__(self, reason: object) -> None:
        super().__init__("gave up")
        self.reason = reason


def _refused() -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "[SSL] certificate verify failed")
    error.verify_message = "certificate has expired"
    return error


def _caused(*, cause: BaseException | None = None, context: BaseException | None = None) -> OSError:
    error = OSError()
    error.__cause__, error.__context__ = cause, context
    return error


@pytest.mark.parametrize(
    "error",
    [
        _refused(),
        _WrappingError(_refused()),
        _ReasonedError(_refused()),
        RuntimeError("text first", _refused()),
        _caused(cause=_refused()),
        _caused(context=_refused()),
        _WrappingError(_ReasonedError(RuntimeError(_refused()))),
    ],
    ids=["itself", "by name", "reason", "argument", "cause", "context", "all of it"],
)
def test_a_refused_certificate_is_found_however_deep_it_lies(error: BaseException) -> None:
    """OpenSSL's message is found, whichever way the libraries in between carry its error."""
    assert certificate_refusal(error) == "certificate has expired"


@pytest.mark.parametrize("error", [OSError(111, "refused"), _ReasonedError("WRONG_VERSION_NUMBER")])
def test_other_failures_of_a_connection_name_no_certificate(error: Exception) -> None:
    """Other failures of a connection, and of TLS, give None."""
    assert certificate_refusal(error) is None


def test_a_cycle_of_causes_is_not_followed_for_ever() -> None:
    """An error that is its own cause is followed for ten steps."""
    error = RuntimeError()
    error.__cause__ = error
    assert [error] * 10 == list(beneath(error))
