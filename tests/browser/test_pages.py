"""Every page as people meet it: on a phone, in the dark, by keyboard alone, without scripts."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sigma68.challenge.rules import accounts, board
from sigma68.challenge.store.tables import Challenge
from sigma68.challenge.web.app import create_app
from sigma68.challenge.web.settings import ServerSettings
from tests.browser.conftest import PASSWORD, sign_in
from tests.challenge.server_world import World, make_world, zipped
from tests.challenge.trivial_judge import trivial_judge
from tests.challenge.web.conftest import serving

LONG = "Averylongnamewithoutanyspacethatsomebodymadeup"
PAGES = (
    *("/", "/c/toys", "/c/toys/data", "/c/toys/rules", "/c/toys/leaderboard"),
    *("/c/toys/leaderboard/1", "/c/toys/submit", "/c/toys/submissions", "/c/toys/submissions/1"),
    *("/c/toys/team", "/c/toys/questions", "/c/toys/questions/1", "/c/toys/announcements"),
    *("/account", "/api/docs", "/none", "/admin", "/admin/audit", "/admin/users"),
    *("/admin/challenges/new", "/admin/challenges/toys", "/admin/challenges/toys/phases/1"),
    *("/admin/challenges/toys/submissions", "/admin/challenges/toys/jury"),
)

OVERFLOWING = """() => {
  const page = document.documentElement;
  const wide = [...document.querySelectorAll("body *")].filter((one) => {
    const box = one.getBoundingClientRect();
    const scrolls = one.closest("pre, .scroll, .unseen, .skip, thead, [hidden]");
    return !scrolls && box.width > 0 && (box.right > page.clientWidth + 1 || box.left < -1);
  });
  const cut = [...document.querySelectorAll("button, a, td, th, dd, dt, h1, h2, h3, label")].filter(
    (one) => !one.closest(".unseen, .skip, thead") && one.scrollWidth > one.clientWidth + 1 &&
      one.clientWidth > 0 && getComputedStyle(one).display !== "inline");
  return [page.scrollWidth - page.clientWidth,
          ...[...wide, ...cut].map((one) => `${one.tagName} ${one.className} ${one.textContent}`)];
}"""


class House:
    def __init__(self, world: World, address: str) -> None:
        self.world = world
        self.address = address


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A server with some of everything: teams, scores, ties, a failure, questions."""
    world = make_world(tmp_path_factory.mktemp("shown"), sets=12, toys=40)
    entries = (("Bees", 0.4), ("Wasps", 0.41), (LONG, 0.6), ("Ants", 1.5))
    for name, sigma in entries:
        world.submit(name, zipped(f"# sigma = {sigma}\nclass Model: pass"))
    world.submit("Bees", zipped("# bad\nclass Model: pass"))
    world.work(trivial_judge)
    world.submit("Bees")
    with world.store.write() as session:
        by = accounts.create(session, "olga", PASSWORD, world.now, role="organiser")
        accounts.create(session, "ann", PASSWORD, world.now)
        challenge = session.get_one(Challenge, world.challenge_id)
        asked = board.ask(session, challenge, LONG, f"Why `{LONG * 2}`?", by=by, now=world.now)
        board.answer(session, asked, "| a | b |\n|--|--|\n| 1 | 2 |", by=by, now=world.now)
        board.announce(session, challenge, "Soon", "It **ends**.", by=by, now=world.now)
    settings = ServerSettings("http://127.0.0.1", secrets.token_bytes(32))
    with serving(create_app(settings, world.store, clock=lambda: world.now)) as address:
        yield House(world, address)
    world.store.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_page_is_wider_than_a_phone(shown: House, chromium: Any, theme: str) -> None:
    screen = {"width": 360, "height": 740}
    context = chromium.new_context(viewport=screen, color_scheme=theme)
    page = context.new_page()
    said: list[str] = []
    page.on("console", lambda line: said.append(line.text) if line.type == "error" else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    for path in ("/sign-in", "/register"):
        page.goto(shown.address + path)
        assert page.evaluate(OVERFLOWING) == [0], path
    sign_in(page, shown, "olga")  # type: ignore[arg-type]
    for path in PAGES:
        page.goto(shown.address + path)
        assert page.evaluate(OVERFLOWING) == [0], path
    # A page that is not there says so on the console too; nothing else is to be said.
    assert all("404" in line for line in said), said
    context.close()


def test_a_keyboard_is_enough(shown: House, chromium: Any, tmp_path: Path) -> None:
    zip_ = tmp_path / "by-keyboard.zip"
    zip_.write_bytes(zipped())
    page = chromium.new_page()
    # Listening from the beginning: on a busy machine a dialog opens before one that begins later.
    dialogs: list[Any] = []
    page.on("filechooser", lambda dialog: dialogs.append(dialog))
    page.goto(f"{shown.address}/c/toys/submit")  # to the sign-in first
    assert page.evaluate("document.activeElement.id") == "name"
    page.keyboard.type("ann")
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url("**/c/toys/submit")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    to(page, "Name of your team")
    page.keyboard.type("Keys")
    page.keyboard.press("Enter")
    page.wait_for_selector("input[type=file]")
    to(page, "Your zip")
    page.keyboard.press("Enter")
    for _ in range(500):
        if dialogs:
            break
        page.wait_for_timeout(20)
    dialogs[0].set_files(zip_)
    to(page, "Hand in")
    page.keyboard.press("Enter")
    page.wait_for_url("**/submissions/*")
    page.get_by_role("heading", name="by-keyboard").wait_for()
    shown.world.work(trivial_judge)
    page.get_by_text("mean width").wait_for()
    to(page, "Leaderboard")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    page.wait_for_url("**/leaderboard")
    to(page, "Keys")
    page.close()


def to(page: Any, name: str) -> None:
    """Press Tab until what has the focus is called `name`, by its text or its label."""
    what = "(document.activeElement.labels?.[0] ?? document.activeElement).textContent.trim()"
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate(what) == name:
            return
    pytest.fail(f"Tab does not lead to {name!r}")


def test_pages_do_without_scripts(shown: House, chromium: Any, tmp_path: Path) -> None:
    zip_ = tmp_path / "plain.zip"
    zip_.write_bytes(zipped())
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    sign_in(page, shown, "ann")  # type: ignore[arg-type]
    page.goto(f"{shown.address}/c/toys/submit")
    if page.get_by_label("Name of your team").count():
        page.get_by_label("Name of your team").fill("Plain")
        with page.expect_navigation():
            page.get_by_role("button", name="Make the team").click()
    page.get_by_label("Your zip").set_input_files(zip_)
    page.get_by_role("button", name="Hand in").click()
    page.get_by_role("heading", name="plain").wait_for()
    page.get_by_text("In the queue").wait_for()
    context.close()


def test_a_refused_upload_is_told_in_place(shown: House, chromium: Any, tmp_path: Path) -> None:
    broken = tmp_path / "broken.zip"
    broken.write_bytes(b"no zip at all")
    with shown.world.store.write() as session:
        accounts.create(session, "eve", PASSWORD, shown.world.now)
    page = chromium.new_page()
    sign_in(page, shown, "eve")  # type: ignore[arg-type]
    page.goto(f"{shown.address}/c/toys/submit")
    page.get_by_label("Name of your team").fill("Broken")
    page.get_by_role("button", name="Make the team").click()
    page.get_by_label("Your zip").set_input_files(broken)
    page.get_by_role("button", name="Hand in").click()
    page.get_by_text("cannot be unzipped").wait_for()
    assert page.url.endswith("/c/toys/submit")
    assert page.get_by_role("button", name="Hand in").is_enabled()
    page.close()


def test_everything_that_can_be_used_has_a_name(shown: House, chromium: Any) -> None:
    nameless = """() => [...document.querySelectorAll("a, button, input, select, textarea, svg")]
      .filter((one) => one.type !== "hidden" && !one.hidden && one.getAttribute("aria-hidden") !== "true")
      .filter((one) => !(one.getAttribute("aria-label") || one.textContent.trim() ||
                         one.labels?.length)).map((one) => one.outerHTML)"""
    page = chromium.new_page()
    sign_in(page, shown, "olga")  # type: ignore[arg-type]
    for path in PAGES:
        page.goto(shown.address + path)
        assert page.evaluate(nameless) == [], path
        assert page.evaluate("document.querySelectorAll('h1').length") >= 1, path
        twice = "[...document.querySelectorAll('[id]')].map((e) => e.id)"
        ids = page.evaluate(twice)
        assert len(ids) == len(set(ids)), path
    page.close()
