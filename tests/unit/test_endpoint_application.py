"""One request to the endpoint: when it is let in, and what it is answered."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any
from wsgiref.util import setup_testing_defaults

import pytest

from credfresh.endpoint.application import Application
from credfresh.endpoint.shelf import Shelf
from credfresh.publication import Publication
from fakes import FakeClock, grant, profile

TOKEN = "credfresh.0123abcd.fake"
HOSTS = frozenset({"127.0.0.1", "localhost"})


class Served:
    """The application with one profile to give, and a clock."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.shelf = Shelf()
        self.application = Application(self.shelf, hosts=HOSTS, clock=self.clock)
        self.application.admitted = {"production": (TOKEN.encode(),), "dev": (b"another",)}
        self.status = ""
        self.headers: dict[str, str] = {}
        self.shelf.update({"production": self.granted()})

    def granted(self, name: str = "production", key: str = "ASIAFAKE000000000000") -> Publication:
        """Return a publication of credentials that last an hour."""
        return Publication(profile(name), grant(profile(name), self.clock(), key=key))

    def ask(
        self,
        path: str = "/credentials/production",
        *,
        token: str | None = TOKEN,
        host: str = "127.0.0.1:9465",
        method: str = "GET",
    ) -> tuple[str, bytes]:
        """Send a request; return status and body."""
        environ: dict[str, Any] = {"PATH_INFO": path, "REQUEST_METHOD": method, "HTTP_HOST": host}
        if token is not None:
            environ["HTTP_AUTHORIZATION"] = token
        setup_testing_defaults(environ)
        body = b"".join(self.application(environ, self._start))
        return self.status, body

    def _start(self, status: str, headers: list[tuple[str, str]], *_: Any) -> Any:
        self.status = status[:3]
        self.headers = dict(headers)


def test_a_request_with_the_token_gets_the_credentials() -> None:
    """The answer has the four keys of the container protocol, each of which some SDK wants."""
    served = Served()

    status, body = served.ask()

    assert "200" == status
    assert {
        "AccessKeyId": "ASIAFAKE000000000000",
        "SecretAccessKey": "fake-secret",
        "Token": "fake-token",
        "Expiration": "2027-01-15T09:00:00Z",
    } == json.loads(body)
    assert "no-store" == served.headers["Cache-Control"]
    assert "application/json" == served.headers["Content-Type"]


@pytest.mark.parametrize(
    "token", [None, "", "x", TOKEN[:-1], f"{TOKEN}x", TOKEN.upper(), "another", "\0", f" {TOKEN}"]
)
def test_a_request_without_the_right_token_gets_an_empty_401(token: str | None) -> None:
    """The body is empty, so no SDK takes a refusal for credentials."""
    assert ("401", b"") == Served().ask(token=token)


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "",
        "/credentials/",
        "/credentials/elsewhere",
        "/credentials/production/",
        "/production/../credentials/production",
        "/credentials//production",
        "/credentials/PRODUCTION",
    ],
)
def test_an_unknown_name_is_answered_like_a_wrong_token(path: str) -> None:
    """A client without a token learns nothing of which profiles there are."""
    assert ("401", b"") == Served().ask(path)


def test_a_token_opens_its_own_profiles_alone() -> None:
    """This holds also when the other profile has credentials."""
    served = Served()
    served.shelf.update({"dev": served.granted("dev")})

    assert "401" == served.ask("/credentials/dev")[0]
    assert "200" == served.ask("/credentials/dev", token="another")[0]


def test_two_groups_may_open_one_profile() -> None:
    """Each group has a token of its own."""
    served = Served()
    served.application.admitted = {"production": (b"first", b"second")}

    assert ["200", "200", "401"] == [
        served.ask(token=token)[0] for token in ("first", "second", "third")
    ]


@pytest.mark.parametrize(
    ("path", "token"),
    [
        ("/credentials/production", TOKEN),
        ("/credentials/production", "x"),
        ("/credentials/elsewhere", TOKEN),
        ("/credentials/production", None),
    ],
)
def test_tokens_are_compared_in_constant_time(
    path: str, token: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is one comparison for each token of a name, and one where there is no such name."""
    compared = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append(other)
        return one == other

    monkeypatch.setattr("hmac.compare_digest", compare)

    Served().ask(path, token=token)

    assert [(token or "").encode()] == compared


@pytest.mark.parametrize("host", ["", "evil.example", "evil.example:9465", "127.0.0.1.evil", "a b"])
def test_a_foreign_host_header_is_refused(host: str) -> None:
    """A web page whose own name was made to point here sends that name in the Host header."""
    assert ("421", b"") == Served().ask(host=host)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:1", "LOCALHOST:9465"])
def test_the_names_of_this_host_are_accepted(host: str) -> None:
    """The port does not matter: a tunnel has another one."""
    assert "200" == Served().ask(host=host)[0]


@pytest.mark.parametrize("method", ["POST", "PUT", "HEAD", "OPTIONS", "DELETE"])
def test_only_get_is_allowed(method: str) -> None:
    """Any method but GET is refused, with an empty body."""
    assert ("405", b"") == Served().ask(method=method)


def test_no_answer_redirects_or_opens_itself_to_other_origins() -> None:
    """No answer has a redirect, or a header that opens it to other origins."""
    served = Served()
    for token in (TOKEN, "wrong"):
        served.ask(token=token)
        assert not {"Location", "Access-Control-Allow-Origin"} & served.headers.keys()


@pytest.mark.parametrize("why", ["expired", "withdrawn", "gone", "never"])
def test_without_credentials_the_answer_is_503(why: str) -> None:
    """An SDK that gets 200 believes what it is told; 503 makes it ask again."""
    served = Served()
    match why:
        case "expired":
            served.clock.advance(3600)
        case "withdrawn":
            served.shelf.update({"production": Publication(profile(), withdraw=True)})
        case "gone":
            served.shelf.update({"production": None})
        case _:
            served.shelf.keep(["dev"])

    assert ("503", b"") == served.ask()


def test_a_renewal_after_an_expiry_is_served_at_once() -> None:
    """After an expiry the next renewal is served from the moment it is there."""
    served = Served()
    served.clock.advance(3600)
    assert "503" == served.ask()[0]

    served.shelf.update({"production": served.granted(key="ASIAFAKE000000000001")})

    assert b"ASIAFAKE000000000001" in served.ask()[1]


def test_a_publication_without_a_grant_takes_nothing_away() -> None:
    """A publication without a grant takes nothing away."""
    served = Served()
    served.shelf.update({"production": Publication(profile())})

    assert "200" == served.ask()[0]


def test_credentials_expired_by_either_clock_are_not_served() -> None:
    """What has expired by either of the two clocks is not served."""
    served = Served()
    served.clock.step(3600)

    assert "503" == served.ask()[0]


def test_the_account_is_told_only_where_asked_for() -> None:
    """AccountId moves DynamoDB and Kinesis to other host names."""
    served = Served()
    one = replace(profile(), account_id=True)
    served.shelf.update({"production": Publication(one, grant(one, served.clock()))})

    assert "111111111111" == json.loads(served.ask()[1])["AccountId"]


def test_a_profile_is_asked_for_by_the_name_of_its_twin() -> None:
    """In the path stands the name that the profile's twin has."""
    served = Served()
    served.shelf.update({"team/x": served.granted("team/x")})
    served.application.admitted = {"team_x-b5a9e664": (b"odd",)}

    assert "200" == served.ask("/credentials/team_x-b5a9e664", token="odd")[0]


def test_no_secret_is_in_a_repr() -> None:
    """The repr of what the shelf offers shows no secret key."""
    served = Served()

    assert "fake-secret" not in repr(vars(served.shelf))
