"""The status page in a real browser: shown, used by keyboard, and left open."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from credfresh.cli.clock import clock
from credfresh.listener import Listener
from credfresh.metrics.page_cache import PageCache
from credfresh.metrics.site import LOCAL_HOSTS, Site
from credfresh.metrics.view import View
from credfresh.settings import TcpAddress
from credfresh.simulator import faults
from host import Host, wait_until
from programs import free_port, needed
from views import figures, view


class Browser:
    """Headless Chromium, and the messages of its console."""

    def __init__(self) -> None:
        options = webdriver.ChromeOptions()
        options.binary_location = needed("chromium", "chromium")
        for argument in (
            "--headless=new",
            "--no-sandbox",  # CI runs as root; only our pages are opened
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1 , EXCLUDE localhost",
        ):
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        service = Service(needed("chromedriver", "chromium-driver"))
        self.driver = webdriver.Chrome(options=options, service=service)
        self.driver.set_window_size(1280, 860)

    def complaints(self) -> list[str]:
        """Return the console's new messages: errors, and violations of the page's policy."""
        return [entry["message"] for entry in self._log()]

    def _log(self) -> list[dict[str, str]]:
        entries: list[dict[str, str]] = self.driver.get_log("browser")  # type: ignore[no-untyped-call] # Selenium's
        return entries

    def open(self, port: int, path: str = "/") -> None:
        """Open a page."""
        self.driver.get(f"http://127.0.0.1:{port}{path}")

    def run(self, script: str) -> Any:
        """Run a script in the page, whatever its policy is."""
        return self.driver.execute_script(script)

    def rows(self) -> list[str]:
        """Return the profiles shown, in order."""
        names: list[str] = self.run(
            "return [...document.querySelectorAll('tbody th')].map((th) => th.textContent)"
        )
        return names

    def type(self, *keys: str) -> None:
        """Press keys in the focused element."""
        self.driver.switch_to.active_element.send_keys(*keys)

    def text(self, selector: str = "body") -> str:
        """Return the visible text of an element."""
        return self.driver.find_element(By.CSS_SELECTOR, selector).text


@pytest.fixture(name="browser", scope="module")
def _browser() -> Iterator[Browser]:
    browser = Browser()
    yield browser
    browser.driver.quit()


class Shown:
    """A site that shows the view that a test sets."""

    def __init__(self) -> None:
        self.view: View | None = None
        self.port = free_port()
        self.site = Site(lambda: self.view, hosts=LOCAL_HOSTS, hostname="build-7", clock=clock)
        self.listener = Listener(TcpAddress("127.0.0.1", self.port), self.site)
        self.listener.open()


@pytest.fixture(name="show")
def _show(browser: Browser) -> Iterator[Callable[[View], Shown]]:
    shown = Shown()

    def show(what: View, path: str = "/") -> Shown:
        shown.view = what
        browser.complaints()
        browser.open(shown.port, path)
        return shown

    yield show
    browser.driver.get("about:blank")
    shown.listener.close()


FAILING = view(
    figures("dev"),
    figures("production", "expired", age=4000, failures=9),
    figures("audit", "missing", failures=2),
)


def test_the_page_causes_no_error_and_asks_only_its_own_server(
    browser: Browser, show: Callable[[View], Shown]
) -> None:
    """There is no error or policy violation, and every request goes to the page's own server."""
    shown = show(FAILING)

    assert "2 of 3 profiles have nothing valid on disk" in browser.text("h1")
    assert ["production", "audit", "dev"] == browser.rows()
    asked = browser.run("return performance.getEntriesByType('resource').map((e) => e.name)")
    assert [] == [url for url in asked if not url.startswith(f"http://127.0.0.1:{shown.port}/")]
    assert [] == browser.driver.get_cookies()
    assert [] == browser.complaints()


def test_the_page_refreshes_and_keeps_the_focus(
    browser: Browser, show: Callable[[View], Shown]
) -> None:
    """Changes appear without a reload of the page, and a focused row keeps the focus."""
    shown = show(view(figures("dev"), figures("production")))
    browser.run("window.mine = true; document.getElementById('p-production').focus()")

    shown.view = FAILING
    wait_until(lambda: "nothing valid" in browser.text("h1"), "the change")

    assert ["production", "audit", "dev"] == browser.rows()
    assert browser.run("return window.mine")
    assert "p-production" == browser.run("return document.activeElement.id")
    assert browser.driver.title.startswith("✕ 2 of 3")
    assert [] == browser.complaints()


def test_the_page_says_so_when_the_daemon_does_not_answer(
    browser: Browser, show: Callable[[View], Shown]
) -> None:
    """The page says since when it is old, until the daemon answers again."""
    shown = show(FAILING)
    shown.view = None
    wait_until(lambda: "no answer since" in browser.text("header"), "the silence")

    shown.view = view(figures("dev"))
    wait_until(lambda: "dev is fresh" in browser.text("h1"), "the recovery")
    assert "no answer" not in browser.text("header")


def test_the_page_says_so_when_the_daemon_is_always_busy(
    browser: Browser, show: Callable[[View], Shown], monkeypatch: pytest.MonkeyPatch
) -> None:
    """If other requests always come first, it retries for seconds and then says so."""
    shown = show(view(figures("dev")))
    with monkeypatch.context() as flood:
        flood.setattr(PageCache, "get", lambda *_: None)
        shown.view = FAILING
        wait_until(lambda: "no answer since" in browser.text("header"), "the end of its patience")
        assert "dev is fresh" in browser.text("h1")

    wait_until(lambda: "nothing valid" in browser.text("h1"), "the recovery")
    assert "no answer" not in browser.text("header")


def test_the_page_can_be_used_with_a_keyboard_alone(
    browser: Browser, show: Callable[[View], Shown]
) -> None:
    """`/` filters while typing, arrows move between rows, Escape shows all, Enter picks a state."""
    show(view(*(figures(f"team-{n}", age=100 + n) for n in range(5)), figures("late", "late")))

    browser.type("/")
    browser.type("team-3")
    wait_until(lambda: browser.rows() == ["team-3"], "the filter")
    assert browser.driver.current_url.endswith("/?q=team-3")
    browser.type(Keys.ARROW_DOWN)
    assert "p-team-3" == browser.run("return document.activeElement.id")
    browser.type(Keys.ESCAPE)
    wait_until(lambda: len(browser.rows()) == 6, "all")
    assert ["late", "team-4", "team-3", "team-2"] == browser.rows()[:4]
    assert "p-team-3" == browser.run("return document.activeElement.id")  # the focus stays there
    browser.type(Keys.ARROW_DOWN, Keys.ARROW_UP, Keys.ARROW_UP)
    assert "p-team-4" == browser.run("return document.activeElement.id")
    browser.run("document.querySelector('#states a.late').focus()")
    browser.type(Keys.ENTER)
    wait_until(lambda: browser.rows() == ["late"], "the state")
    assert "late" in browser.run("return document.activeElement.className")
    assert [] == browser.complaints()


def test_ten_thousand_profiles_can_be_filtered_quickly(
    browser: Browser, show: Callable[[View], Shown]
) -> None:
    """The 500 most urgent are shown, any other can be filtered for, and typing stays quick."""
    show(view(*(figures(f"team-{n:05d}", age=n / 10) for n in range(10_000))))
    assert 500 == len(browser.rows())
    assert "The 500 most urgent of 10,000" in browser.text("caption")

    browser.type("/")
    browser.type("00042")

    wait_until(lambda: browser.rows() == ["team-00042"], "the filter")
    assert [] == browser.complaints()


@pytest.mark.parametrize("width", [375, 768, 1280, 2560])
def test_the_page_needs_no_sideways_scrolling(
    browser: Browser, show: Callable[[View], Shown], width: int
) -> None:
    """From telephone to large screen nothing needs sideways scrolling."""
    browser.driver.set_window_size(max(width, 500), 860)
    browser.driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 860, "deviceScaleFactor": 1, "mobile": width < 500},
    )
    try:
        show(
            view(figures("a-rather-long-profile-name.of-some-team"), *FAILING.profiles, detail=True)
        )
        wide = browser.run(WIDEST)
    finally:
        browser.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        browser.driver.set_window_size(1280, 860)

    assert wide <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_have_enough_contrast_in_both_schemes(
    browser: Browser, show: Callable[[View], Shown], scheme: str, tmp_path: Path
) -> None:
    """Every text has at least a contrast of 4.5 to 1 with its background (WCAG 2 AA)."""
    browser.driver.execute_cdp_cmd(
        "Emulation.setEmulatedMedia",
        {"features": [{"name": "prefers-color-scheme", "value": scheme}]},
    )
    show(
        view(
            *FAILING.profiles,
            figures("b", "late", failures=1),
            figures("c", "refused"),
            detail=True,
        )
    )

    poor = browser.run(CONTRASTS)
    ground = browser.run("return getComputedStyle(document.body).backgroundColor")
    browser.driver.save_screenshot(str(tmp_path / f"{scheme}.png"))

    assert [] == poor
    light = sum(int(part) for part in ground[4:-1].split(",")) > 380
    assert light == (scheme == "light")


WIDEST = """
const ends = [...document.querySelectorAll("body *")]
  .filter((node) => node.checkVisibility() && !node.closest(".hidden"))
  .map((node) => {
    const range = document.createRange();
    range.selectNodeContents(node);
    return Math.max(node.getBoundingClientRect().right, range.getBoundingClientRect().right);
  });
return Math.floor(Math.max(document.documentElement.scrollWidth, ...ends));
"""

CONTRASTS = """
const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
const light = (colour) => {
  const [r, g, b] = numbers(colour).map((v) => v / 255)
    .map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const behind = (node) => {
  for (let at = node; at; at = at.parentElement) {
    const colour = getComputedStyle(at).backgroundColor;
    if (numbers(colour)[3] !== 0) return colour;
  }
  return getComputedStyle(document.body).backgroundColor;
};
const poor = [];
for (const node of document.querySelectorAll("body *")) {
  const own = [...node.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
  if (!own || ["SCRIPT", "STYLE"].includes(node.tagName) || node.closest("svg")) continue;
  const [a, b] = [light(getComputedStyle(node).color), light(behind(node))];
  const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  if (ratio < 4.5) poor.push(`${node.textContent.trim()}: ${ratio.toFixed(2)}`);
}
return poor;
"""


def test_an_open_page_follows_a_real_daemon(browser: Browser, host: Host) -> None:
    """An open page shows freshness, then an outage, then the recovery."""
    port = free_port()
    host.sts.grant_seconds = 60
    host.configure(extra=f"metrics:\n  listen: 127.0.0.1:{port}\n")
    running = host.start("run")
    running.wait_for("daemon_ready")
    browser.complaints()
    wait_until(lambda: _opens(browser, port), "the page")
    wait_until(lambda: "All 3 profiles are fresh" in browser.text("h1"), "freshness")

    outage = host.sts.inject(faults.internal_error(), times=100_000)
    # A changed request is due at once.
    host.configure(
        "  production:\n    role_arn: arn:aws:iam::333333333333:role/production\n"
        "    duration: 30m\n",
        extra=f"metrics:\n  listen: 127.0.0.1:{port}\n",
    )
    running.signal(signal.SIGHUP)
    wait_until(lambda: "failure" in browser.text("tbody"), "the outage")
    assert ["production"] == browser.rows()
    outage.withdraw()
    wait_until(lambda: "production is fresh" in browser.text("h1"), "the recovery")
    assert [] == browser.complaints()
    browser.driver.get("about:blank")


def _opens(browser: Browser, port: int) -> bool:
    browser.open(port)
    return bool(browser.rows())
