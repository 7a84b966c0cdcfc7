"""The live page in a real browser, against sidecars whose numbers a test has written."""

import json
import shutil
import tempfile
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import urlsplit

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select

from inferometer.addresses import Address
from inferometer.live import reading
from inferometer.live.page import Page
from inferometer.live.settings import Settings
from inferometer.live.target import parse
from support.scripted_admin import FIRST, OVERHEAD, TOKEN, Figures, ScriptedAdmin
from support.sidecar import wait_until

pytestmark = pytest.mark.browser

CHROMIUM: Final = shutil.which("chromium")
DRIVER: Final = shutil.which("chromedriver")
FLAGS: Final = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1280,900",
)
WAIT_S: Final = 20.0


@pytest.fixture(scope="module")
def browser() -> Iterator[webdriver.Chrome]:
    if CHROMIUM is None or DRIVER is None:
        pytest.skip("chromium is not installed" if CHROMIUM is None else "chromedriver is missing")
    options = Options()
    options.binary_location = CHROMIUM
    with tempfile.TemporaryDirectory() as profile:
        for flag in (*FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        driver = webdriver.Chrome(options=options, service=Service(DRIVER))
        try:
            yield driver
        finally:
            driver.quit()


def script(figures: Figures, *, requests: int = 0, streaming: int = 7) -> bytes:
    """Add `requests` good requests, a tenth as many bad ones, and return the exposition."""
    series = {"vantage": "sidecar", "model": "m"}
    judged = {"vantage": "sidecar", "slo": "demo-chat"}
    figures.observe(reading.TTFT, FIRST, 0.2, n=requests, **series)
    figures.observe(reading.ITL, TOKEN, 0.015, n=requests * 10, **series)
    figures.observe(reading.OVERHEAD, OVERHEAD, 0.0002, n=requests, stage="head")
    figures.count(reading.REQUESTS, requests, outcome="success")
    figures.count(reading.TOKENS, requests * 10, direction="output", usage_source="server")
    figures.count(reading.USAGE, requests, usage_source="server")
    figures.count(reading.VERDICTS, requests, **judged, verdict="good", reason="none")
    figures.count(reading.VERDICTS, requests // 9, **judged, verdict="bad", reason="ttft")
    figures.set(reading.OBJECTIVE, 0.99, slo="demo-chat")
    figures.set(reading.THRESHOLD, 0.5, slo="demo-chat", objective="ttft")
    figures.set(reading.IN_FLIGHT, streaming, state="streaming")
    figures.set(reading.IN_FLIGHT, 2, state="waiting")
    figures.set(reading.RSS, 64e6)
    figures.set(reading.STARTED, 1)
    return figures.text()


@pytest.fixture
def sidecars(browser: webdriver.Chrome) -> Iterator[tuple[ScriptedAdmin, ScriptedAdmin, str]]:
    """Two scripted sidecars, and the address of the page that watches them."""
    with (
        ScriptedAdmin(script(Figures())) as one,
        ScriptedAdmin(script(Figures(), streaming=1)) as other,
    ):
        settings = Settings(
            admin=(parse(one.url), parse(other.url)),
            listen=Address("127.0.0.1", 0),
            interval_s=0.5,
            window_s=60,
        )
        page = Page(settings, version="1.2.3")
        page.start()
        try:
            yield one, other, page.url
        finally:
            leave(browser)
            page.stop()


def leave(browser: webdriver.Chrome) -> None:
    """Close the page before its server ends, and forget what the browser has written down."""
    browser.get("about:blank")
    complaints(browser)
    requested(browser)


def text(browser: webdriver.Chrome, selector: str) -> str:
    """Return the text of an element as it is in the document, seen or not."""
    # In one step: between finding an element and reading it the page may have drawn it anew.
    read = 'return document.querySelector(arguments[0])?.textContent ?? ""'
    return str(browser.execute_script(read, selector))


def wait_for(browser: webdriver.Chrome, selector: str, wanted: str) -> None:
    wait_until(
        lambda: text(browser, selector) == wanted,
        wait_s=WAIT_S,
        what=f"{selector} is {text(browser, selector)!r}, not {wanted!r}",
    )


def read_again(admin: ScriptedAdmin) -> None:
    """Wait until the page has read what this sidecar says now."""
    asked = admin.asked.total()
    wait_until(lambda: admin.asked.total() > asked + 2, wait_s=WAIT_S)


def log_of(browser: webdriver.Chrome, kind: str) -> list[dict[str, Any]]:
    """Return what was written into a log of the browser since the last look."""
    found: list[dict[str, Any]] = browser.get_log(kind)  # type: ignore[no-untyped-call]
    return found


def requested(browser: webdriver.Chrome) -> set[str]:
    """Return the hosts of everything the page asked for since the last look."""
    hosts = set()
    for entry in log_of(browser, "performance"):
        message: dict[str, Any] = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            url = urlsplit(message["params"]["request"]["url"])
            if url.scheme not in ("data", "blob", "chrome", "about"):
                hosts.add(url.hostname or "")
    return hosts


def complaints(browser: webdriver.Chrome) -> list[str]:
    return [entry["message"] for entry in log_of(browser, "browser")]


def test_the_page_shows_the_numbers_that_the_sidecars_told(
    browser: webdriver.Chrome, sidecars: tuple[ScriptedAdmin, ScriptedAdmin, str]
) -> None:
    one, other, url = sidecars
    wait_until(lambda: one.asked.total() > 1 and other.asked.total() > 1, wait_s=WAIT_S)
    browser.get(url)
    wait_for(browser, "#tile-flight [data-figure=streaming]", "8")
    one.body = script(Figures(), requests=90)
    # 90 waits between 100 and 250 ms: Prometheus' rule puts the median in the middle.
    wait_for(browser, "#tile-ttft [data-figure=p50]", "175ms")
    wait_for(browser, "#tile-itl [data-figure=p50]", "15ms")
    wait_for(browser, "#tile-flight [data-figure=waiting]", "4")
    wait_for(browser, "#tile-goodput [data-figure=good]", "90.0%")
    wait_until(lambda: "2 of 2 sidecars answer" in text(browser, "#facts"), wait_s=WAIT_S)
    assert text(browser, "#tile-goodput .verdict").startswith("burns 10")
    assert text(browser, "#tile-goodput dt") == "demo-chat"
    assert text(browser, "#tile-cost [data-figure='added, p50']") == "175µs"
    assert text(browser, "#card-ttft [data-series=p99]") == "249 ms"
    assert text(browser, "#card-reasons [data-row=ttft] .value") == "10"
    assert "first token came too late" in text(browser, "#card-reasons [data-row=ttft]")
    assert "success" in text(browser, "#card-outcomes [data-row=success]")
    assert "100 % of answers with an exact token count" in text(browser, "#facts")
    assert "inferometer 1.2.3" in text(browser, "#about")
    assert browser.find_element(By.ID, "card-heat").find_elements(By.TAG_NAME, "canvas")
    assert complaints(browser) == []
    assert requested(browser) == {"127.0.0.1"}


@pytest.mark.parametrize(
    ("counted", "tokens", "words"),
    [
        ("demo-chat--requests", 0, "goal 99 % of slices of time, not of requests"),
        ("demo-chat", 700, "goal 99 % of tokens, not of requests"),
    ],
)
def test_a_promise_that_counts_no_requests_is_shown_and_not_compared(
    browser: webdriver.Chrome,
    sidecars: tuple[ScriptedAdmin, ScriptedAdmin, str],
    counted: str,
    tokens: int,
    words: str,
) -> None:
    one, other, url = sidecars
    figures = Figures()
    figures.set(reading.OBJECTIVE, 0.99, slo="demo-chat")
    figures.set(reading.STARTED, 1)
    judged = {"vantage": "sidecar", "slo": counted}
    for good, bad in ((0, 0), (90, 10)):
        figures.count(reading.VERDICTS, good, **judged, verdict="good", reason="none")
        figures.count(reading.VERDICTS, bad, **judged, verdict="bad", reason="ttft")
        if tokens:
            figures.count(reading.VERDICT_TOKENS, tokens, **judged, verdict="bad", reason="ttft")
        one.body = other.body = figures.text()
        read_again(one)
    browser.get(url)
    wait_for(browser, "#tile-goodput [data-figure=good]", "90.0%")
    assert " ".join(text(browser, "#tile-goodput .note").split()) == words
    assert text(browser, "#tile-goodput .verdict") == ""
    assert complaints(browser) == []


def test_what_is_not_known_is_no_data_and_never_zero(
    browser: webdriver.Chrome, sidecars: tuple[ScriptedAdmin, ScriptedAdmin, str]
) -> None:
    browser.get(sidecars[2])
    wait_for(browser, "#tile-flight [data-figure=streaming]", "8")
    for figure in ("#tile-ttft [data-figure=p50]", "#tile-itl [data-figure=p99]"):
        assert text(browser, figure) == "no data"
    assert text(browser, "#tile-goodput [data-figure=good]") == "no data"
    assert text(browser, "#tile-cost [data-figure=CPU]") == "no data"
    assert complaints(browser) == []


def test_one_sidecar_can_be_chosen_and_a_silent_one_is_named(
    browser: webdriver.Chrome, sidecars: tuple[ScriptedAdmin, ScriptedAdmin, str]
) -> None:
    _, other, url = sidecars
    browser.get(url)
    wait_for(browser, "#tile-flight [data-figure=streaming]", "8")
    Select(browser.find_element(By.ID, "source")).select_by_value("1")
    wait_for(browser, "#tile-flight [data-figure=streaming]", "1")
    wait_until(lambda: not browser.find_element(By.ID, "banner").is_displayed(), wait_s=WAIT_S)
    other.status = 503
    wait_for(browser, "#banner", f"{parse(other.url).name}: answered 503")
    wait_for(browser, "#tile-flight [data-figure=streaming]", "no data")
    assert complaints(browser) == []


def test_a_reload_shows_the_past(
    browser: webdriver.Chrome, sidecars: tuple[ScriptedAdmin, ScriptedAdmin, str]
) -> None:
    browser.get(sidecars[2])
    wait_for(browser, "#status", "live, every 0.5 s")
    points = "fetch('api/points?source=all&after=0').then(answer => answer.json())"
    count = f"return {points}.then(body => body.points.length)"
    wait_until(lambda: browser.execute_script(count) > 3, wait_s=WAIT_S)
    browser.refresh()
    wait_for(browser, "#tile-flight [data-figure=streaming]", "8")
    assert browser.execute_script(count) > 3


def test_a_pause_holds_the_picture_and_a_lost_server_is_told(browser: webdriver.Chrome) -> None:
    with ScriptedAdmin(script(Figures())) as admin:
        settings = Settings(
            admin=(parse(admin.url),), listen=Address("127.0.0.1", 0), interval_s=0.5
        )
        page = Page(settings, version="1")
        page.start()
        try:
            browser.get(page.url)
            wait_for(browser, "#tile-flight [data-figure=streaming]", "7")
            browser.find_element(By.ID, "pause").click()
            wait_for(browser, "#status", "paused")
            admin.body = script(Figures(), streaming=9)
            read_again(admin)
            assert text(browser, "#tile-flight [data-figure=streaming]") == "7"
            browser.find_element(By.ID, "pause").click()
            wait_for(browser, "#tile-flight [data-figure=streaming]", "9")
        finally:
            page.stop()
        wait_for(browser, "#status", "the page's server is gone")
    leave(browser)


@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_the_page_fits_its_window_and_every_control_has_a_name(
    browser: webdriver.Chrome,
    sidecars: tuple[ScriptedAdmin, ScriptedAdmin, str],
    width: int,
    scheme: str,
) -> None:
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        browser.get(sidecars[2])
        wait_for(browser, "#tile-flight [data-figure=streaming]", "8")
        wide = browser.execute_script("return document.documentElement.scrollWidth")
        assert wide <= width
        for button in browser.find_elements(By.CSS_SELECTOR, "button, select"):
            assert button.accessible_name
        for plot in browser.find_elements(By.CSS_SELECTOR, "[role=img]"):
            assert plot.accessible_name
        background = browser.execute_script(
            "return getComputedStyle(document.body).backgroundColor"
        )
        assert background == ("rgb(10, 13, 19)" if scheme == "dark" else "rgb(243, 245, 249)")
        assert complaints(browser) == []
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
