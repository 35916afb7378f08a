"""The page in a real browser: plots drawn, nothing on the console, no request, no overflow, print, keyboard."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bindscope.report import write_report
from report.synthetic import write_run

pytestmark = pytest.mark.slow
webdriver = pytest.importorskip("selenium.webdriver")

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
WORDS = ("<script>alert(1)</script>", "größe")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("needs chromium and chromedriver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    made = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield made
    made.quit()


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    space = [{"name": name, "values": list(WORDS)} for name in WORDS]
    return write_report(write_run(tmp_path_factory.mktemp("run"), space=space, examples=list(WORDS)))


def visit(browser: Any, page: Path, width: int = 1280, dark: bool = False, media: str = "") -> None:
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": [scheme]})
    browser.get("about:blank")
    for log in ("browser", "performance"):
        browser.get_log(log)  # what came before is not this page's
    browser.get(page.as_uri())


def requests_of(browser: Any) -> list[str]:
    """Addresses that the tab asked for, without what a browser builds in."""
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    sent = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    return [url for url in sent if not url.startswith(("data:", "chrome:", "about:"))]


def test_every_plot_is_drawn_and_nothing_is_asked_for(browser: Any, page: Path) -> None:
    visit(browser, page)
    counts = browser.execute_script(
        "return Array.from(document.querySelectorAll('.plot')).map(p =>"
        " [p.dataset.figure, p.querySelectorAll('svg.main-svg .trace, svg.main-svg .bars .point').length,"
        " p.getBoundingClientRect().width])"
    )
    names = {path.stem for path in (page.parent / "figures").glob("*.json")}
    assert {name for name, _, _ in counts} == names
    assert all(traces > 0 and width > 200 for _, traces, width in counts), counts
    assert browser.get_log("browser") == []
    assert requests_of(browser) == [page.as_uri()]


def test_the_checks_of_console_and_requests_can_fail(browser: Any, tmp_path: Path) -> None:
    other = tmp_path / "other.html"
    other.write_text("<script>fetch('file:///nowhere'); console.error('no')</script>", encoding="utf-8")
    visit(browser, other)
    assert browser.get_log("browser") != []
    assert len(requests_of(browser)) > 1


@pytest.mark.parametrize("width", [320, 390, 768])
def test_no_sideways_scrolling(browser: Any, page: Path, width: int) -> None:
    visit(browser, page, width)
    browser.execute_script("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    wide = browser.execute_script("return document.documentElement.scrollWidth")
    assert wide <= width
    spill = browser.execute_script(
        "return Array.from(document.querySelectorAll('.plot')).filter(p =>"
        " p.querySelector('svg.main-svg').getBoundingClientRect().right > innerWidth + 1).map(p => p.dataset.figure)"
    )
    assert spill == []


def test_first_screen_of_a_phone_says_the_verdict(browser: Any, page: Path) -> None:
    visit(browser, page, 390)
    bottom = browser.execute_script("return document.querySelector('.sentence.first').getBoundingClientRect().bottom")
    assert bottom < 844


def test_values_of_the_story_are_readable_on_a_phone(browser: Any, page: Path) -> None:
    visit(browser, page, 390)
    right = browser.execute_script(
        "return Math.max(...Array.from(document.querySelectorAll('#plot-story .textpoint text'))"
        ".map(t => t.getBoundingClientRect().right))"
    )
    assert 200 < right <= 390


def test_words_of_users_stay_words(browser: Any, page: Path) -> None:
    visit(browser, page)
    assert WORDS[0] in browser.find_element("id", "audit").text
    assert browser.execute_script("return document.querySelectorAll('#main script').length") == 0


def colour_of_text(browser: Any) -> str:
    return str(browser.execute_script("return document.querySelector('#plot-story .ytick text').style.fill"))


def test_dark_and_light_by_system_and_by_button(browser: Any, page: Path) -> None:
    visit(browser, page, dark=True)
    assert colour_of_text(browser) == "rgb(238, 241, 245)"
    button = browser.find_element("id", "theme")
    assert (button.text, button.get_attribute("aria-pressed")) == ("Light", "true")
    button.send_keys("\n")
    assert colour_of_text(browser) == "rgb(28, 34, 43)"
    assert (button.text, button.get_attribute("aria-pressed")) == ("Dark", "false")


def test_legend_hides_and_shows_by_keyboard(browser: Any, page: Path) -> None:
    visit(browser, page)
    key = browser.find_element("css selector", ".key[data-figure=story]")
    count = "return document.querySelectorAll('#plot-story .bars .point').length"
    before = browser.execute_script(count)
    key.send_keys(" ")
    assert key.get_attribute("aria-pressed") == "false"
    assert browser.execute_script(count) == before / 2
    key.send_keys(" ")
    assert browser.execute_script(count) == before


def test_print_shows_plots_and_hides_the_bar(browser: Any, page: Path) -> None:
    visit(browser, page, dark=True)
    pdf = base64.b64decode(browser.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})["data"])
    assert pdf.startswith(b"%PDF")
    assert len(pdf) > 100_000
    visit(browser, page, 760, dark=True, media="print")
    browser.execute_script("window.dispatchEvent(new Event('beforeprint'))")
    assert colour_of_text(browser) == "rgb(28, 34, 43)"
    seen = browser.execute_script(
        "const s = e => getComputedStyle(document.querySelector(e)); return [s('.bar').display, s('body').backgroundColor,"
        " Math.max(...Array.from(document.querySelectorAll('svg.main-svg')).map(p => p.getBoundingClientRect().right))]"
    )
    assert seen[:2] == ["none", "rgb(255, 255, 255)"]
    assert seen[2] <= 760


def lines_of(browser: Any, name: str) -> list[tuple[str, bool]]:
    found = browser.find_elements("css selector", f"#{name} li")
    return [(e.find_element("css selector", "span").text, e.get_attribute("class") == "wanted") for e in found]


def test_explorer_shows_neighbours_before_and_after_each_choice(browser: Any, page: Path) -> None:
    from selenium.webdriver.support.ui import Select

    visit(browser, page)
    scene, old, new = (Select(browser.find_element("id", f"explore-{name}")) for name in ("scene", "old", "new"))
    assert [o.text for o in scene.options] == ["caption 0", "caption 1"]
    assert [o.text for o in old.options] == ["object 0 (object 1)", "object 1 (object 2)"]
    assert [o.text for o in new.options] == ["object 2", "object 3"]
    assert lines_of(browser, "explore-before") == [("caption 0", True), ("caption 1", False)]
    assert lines_of(browser, "explore-after") == [("</script><b>caption 3</b>", True), ("caption 1", False)]
    new.select_by_visible_text("object 3")
    assert lines_of(browser, "explore-after") == [("caption 4", True), ("caption 5", False)]
    old.select_by_index(1)
    assert [o.text for o in new.options] == ["object 2"]
    assert lines_of(browser, "explore-after") == [("caption 5", True)]
    scene.select_by_index(1)
    assert [o.text for o in old.options] == ["object 1 (object 1)"]
    assert lines_of(browser, "explore-before") == [("caption 1", True)]
    assert browser.get_log("browser") == []
