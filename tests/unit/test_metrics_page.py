"""The status page: what it says, what it must not say, and how much of it there is."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest

from credfresh.metrics import page
from credfresh.metrics.page import POLICY, Filter
from credfresh.metrics.timeline import NOW, axis_for, scale
from credfresh.metrics.view import View
from credfresh.statuses import State
from fakes import EPOCH
from views import TROUBLE, figures, view


class Parsed(HTMLParser):
    """Tags, attributes and visible text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.contents: dict[str, str] = {}
        self.words = ""
        self._in = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._in = tag

    def handle_data(self, data: str) -> None:
        if self._in in {"style", "script"}:
            self.contents[self._in] = self.contents.get(self._in, "") + data
        else:
            self.words += data

    def handle_endtag(self, tag: str) -> None:
        self._in = ""

    def rows(self) -> list[str]:
        """Return the ids of the profiles' rows, in order."""
        ids = [str(a.get("id", "")) for tag, a in self.tags if tag == "tr"]
        return [one.removeprefix("p-") for one in ids if one.startswith("p-")]


def shown(what: View, text: str = "", state: str = "") -> Parsed:
    """Render and parse the page."""
    return Parsed(page.render(what, Filter(text, state), hostname="build-7"))


def test_the_page_says_that_all_is_well() -> None:
    """The page has a headline, the next renewal, and a row for each profile."""
    parsed = shown(view(figures("dev", renew_in=900), figures("production")))

    assert "All 2 profiles are fresh" in parsed.words
    assert "Next, production is renewed in 8 min." in parsed.words
    assert ["dev", "production"] == sorted(parsed.rows())


@pytest.mark.parametrize(
    ("state", "headline"),
    [
        ("expired", "production has expired"),
        ("missing", "production is missing"),
        ("refused", "production is refused"),
        ("late", "1 of 2 profiles is late"),
    ],
)
def test_the_page_says_what_is_wrong(state: State, headline: str) -> None:
    """The headline names what an operator must know first."""
    assert headline in shown(view(figures("dev"), figures("production", state))).words


def test_failures_are_told_in_words() -> None:
    """The page says how many there were, since when, and when the next attempt comes."""
    words = shown(view(figures(failures=7))).words

    assert re.search(r"7 failures since 07:55", words)
    assert "retry in 21 s" in words


def test_the_most_urgent_profiles_come_first() -> None:
    """First comes what readers suffer from already, then what fails, then the least life left."""
    parsed = shown(
        view(
            figures("f-young", age=60),
            figures("e-old", age=1700),
            figures("d-failing", failures=1, age=100),
            figures("c-late", "late"),
            figures("b-missing", "missing"),
            figures("a-expired", "expired", age=3700),
        )
    )

    assert [
        "a-expired",
        "b-missing",
        "c-late",
        "d-failing",
        "e-old",
        "f-young",
    ] == parsed.rows()


def test_ten_thousand_profiles_are_shown_as_the_500_most_urgent() -> None:
    """The page stays readable and small, and says that there are more."""
    many = view(*(figures(f"team-{n:05d}", age=n / 10) for n in range(10_000)))

    parsed = shown(many)

    assert 500 == len(parsed.rows())
    assert "team-09999" == parsed.rows()[0]
    assert "The 500 most urgent of 10,000; filter to see the others" in parsed.words
    assert ["team-00042"] == shown(many, "TEAM-00042").rows()


def test_profiles_are_filtered_by_state_and_text() -> None:
    """Both filters hold together, and an empty result is said."""
    some = view(figures("dev"), figures("dev-late", "late"), figures("production", "late"))

    assert ["dev-late"] == shown(some, "dev", "late").rows()
    assert ["dev", "dev-late"] == sorted(shown(some, "dev").rows())
    assert "No profile matches" in shown(some, "nothing").words


SECRETIVE = ("arn:", "111111111111", "ASIA", "AccessDenied", "authorized", "trust policy")


def test_without_detail_nothing_that_identifies_is_shown() -> None:
    """No ARN, account id, key id or error text: every process of the host can read the page."""
    text = page.render(view(figures(failures=1)), Filter(), hostname="build-7")

    assert [] == [word for word in SECRETIVE if word in text]


def test_with_detail_role_key_id_error_and_hint_are_shown() -> None:
    """The page shows ARN, key id, error and hint where the configuration allows them."""
    text = page.render(view(figures(failures=1), detail=True), Filter(), hostname="build-7")

    assert [] == [word for word in SECRETIVE if word not in text]


def test_names_errors_and_queries_are_escaped() -> None:
    """Names, errors and queries cannot become markup."""
    evil = '<script>alert("x")</script>'
    one = figures(evil, failures=1, trouble=TROUBLE._replace(message=evil, hint=evil))

    inside = '"><img src=x>'
    for chosen in (Filter(), Filter(evil[:8]), Filter(inside), Filter("", inside)):
        text = page.render(view(one, detail=True), chosen, hostname=evil)
        parsed = Parsed(text)
        assert 1 == sum(tag == "script" for tag, _ in parsed.tags)
        assert "img" not in {tag for tag, _ in parsed.tags}


def test_the_page_is_self_contained_and_keeps_its_own_policy() -> None:
    """It loads nothing, has no inline style or handler, and the policy's hashes are of its text."""
    parsed = shown(view(figures(failures=2), figures("dev", "expired", age=4000)))

    for tag, attributes in parsed.tags:
        assert "style" not in attributes, tag
        assert not [name for name in attributes if name.startswith("on")], tag
        for name in ("src", "href", "action", "xlink:href"):
            value = attributes.get(name) or "/"
            assert value.startswith(("/", "data:image/svg+xml,")), (tag, value)
            assert not value.startswith("//")
    for tag in ("style", "script"):
        digest = hashlib.sha256(parsed.contents[tag].encode()).digest()
        assert f"'sha256-{base64.b64encode(digest).decode()}'" in POLICY
    assert "unsafe" not in POLICY
    assert not re.search(r"url\(|@import|https?:", parsed.contents["style"])


def test_screen_readers_are_given_the_times_of_the_timeline() -> None:
    """Screen readers are given the times that the drawing shows."""
    parsed = shown(view(figures(failures=2)))
    labels = [a["aria-label"] for tag, a in parsed.tags if tag == "svg" and a.get("role") == "img"]

    assert [
        "issued 07:40:00; renewal 08:08:00; expires 08:40:00; 2 failures, next attempt in 21 s"
    ] == labels


def test_an_axis_keeps_its_order_and_its_edges() -> None:
    """Later is further right, now is always at the same place, and nothing leaves the drawing."""
    for lifetimes in ([3600.0], [900.0, 43_200.0], []):
        axis = axis_for(lifetimes, EPOCH)
        places = [axis.at(EPOCH + s) for s in (-1e9, -43_200, -900, 0, 60, 900, 43_200, 1e9)]
        assert sorted(places) == places
        assert (0.0, NOW, 100.0) == (places[0], places[3], places[-1])
        assert "now" in scale(axis)


def test_a_quarter_of_an_hour_can_be_seen_beside_half_a_day() -> None:
    """Where lifetimes differ much, the far future is pressed together."""
    axis = axis_for([900.0, 43_200.0], EPOCH)

    assert axis.at(EPOCH + 900) - NOW > 8


def test_the_filter_does_not_search_what_is_not_shown() -> None:
    """Without detail nobody can guess an account id by filtering for it."""
    assert [] == shown(view(figures()), "111111111111").rows()
    assert ["production"] == shown(view(figures(), detail=True), "111111111111").rows()


def test_a_daemon_whose_profiles_were_all_withdrawn_has_a_page() -> None:
    """Having nothing to keep fresh is no error, and the page says so."""
    parsed = shown(view())

    assert "Every profile was withdrawn" in parsed.words
    assert [] == parsed.rows()
