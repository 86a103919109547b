"""From registering to the final, in a real browser, with entries as people wrote them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import PASSWORD, PATIENCE_MS, House, zipped
from tests.browser.wild import CUT_AND_COUNT, PACKAGED


def test_from_registering_to_the_final(house: House, chromium: Any, tmp_path: Path) -> None:
    from playwright.sync_api import expect

    first = zipped(tmp_path, "cut-and-count", model__py=CUT_AND_COUNT, cut__txt="80 150")
    second = zipped(tmp_path, "packaged", model__py=PACKAGED)
    ann, bob = chromium.new_page(), chromium.new_page()
    for page, name in ((ann, "ann"), (bob, "bob")):
        page.set_default_timeout(PATIENCE_MS)
        register(page, house, name)
    for page, name, path in ((ann, "Bees", first), (bob, "Wasps", second)):
        hand_in(page, house, name, path)
        expect(page.get_by_role("heading", name=path.stem)).to_be_visible()
    # The page renews itself: nobody reloads it.
    for page in (ann, bob):
        expect(page.get_by_text("mean width")).to_be_visible(timeout=PATIENCE_MS)
        expect(page.get_by_role("img", name="Coverage of 2 sets")).to_be_visible()
    expect(ann.locator(".log")).to_contain_text("Initializing Model")
    assert ann.locator("#live").get_attribute("data-get") is None
    ann.get_by_label("Method").fill("A window of the visible mass, **counted**.")
    ann.get_by_role("button", name="Keep the fact sheet").click()
    bob.get_by_role("button", name="Take this one into the final").click()
    expect(bob.get_by_text("goes into the final for Wasps")).to_be_visible()

    ann.get_by_role("link", name="Leaderboard", exact=True).click()
    expect(ann.get_by_role("row")).to_have_count(3)
    assert ann.get_by_role("img", name=re.compile("^score -?[0-9]")).count() == 2
    ann.get_by_role("link", name="Bees").click()
    expect(ann.locator("strong", has_text="counted")).to_be_visible()
    expect(ann.get_by_role("img", name="Coverage of 2 sets")).to_be_visible()

    house.end(0)
    ann.goto(f"{house.address}/c/wild/leaderboard")
    expect(ann.get_by_role("heading", name="Final phase")).to_be_visible()
    expect(ann.get_by_text("hidden")).to_be_visible()
    wait_for_final(ann, house)
    assert ann.goto(f"{house.address}/c/wild/leaderboard")
    assert ann.get_by_role("row").count() == 0
    house.end(1)
    ann.reload()
    expect(ann.get_by_role("row")).to_have_count(3)
    assert "indicative" not in ann.locator("h2").inner_text()
    bob.goto(f"{house.address}/c/wild/submit")
    expect(bob.get_by_text("No phase takes submissions now")).to_be_visible()
    ann.close()
    bob.close()


def register(page: Any, house: House, name: str) -> None:
    page.goto(f"{house.address}/c/wild")
    page.get_by_role("link", name="Register").first.click()
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_label("The same password again").fill(PASSWORD)
    page.get_by_role("button", name="Register").click()
    page.get_by_role("link", name=name, exact=True).wait_for()


def hand_in(page: Any, house: House, team: str, path: Path) -> None:
    page.goto(f"{house.address}/c/wild/submit")
    page.get_by_label("Name of your team").fill(team)
    page.get_by_role("button", name="Make the team").click()
    page.get_by_label("Your zip").set_input_files(path)
    page.get_by_role("button", name="Hand in").click()
    page.wait_for_url(re.compile("/submissions/"))


def wait_for_final(page: Any, house: House) -> None:
    """Until both entries have been judged in the final; its scores stay hidden."""
    for _ in range(PATIENCE_MS // 300):
        page.goto(f"{house.address}/c/wild/submissions")
        text = page.locator("main").inner_text()
        final = text.split("Public phase")[0]
        if "finished" in final:
            assert not re.search(r"\d\.\d\d\d", final)
            return
        page.wait_for_timeout(300)
    pytest.fail(f"the final did not end: {text}")
