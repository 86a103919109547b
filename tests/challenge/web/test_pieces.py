"""Figures, Markdown, limits, cookies and settings, each by itself."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from datetime import timedelta
from pathlib import Path

import pytest

from sigma68.challenge.web.drawing import (
    Scale,
    coverage_figure,
    scale_over,
    score_axis,
    score_bar,
    score_scale,
)
from sigma68.challenge.web.limits import Limit, Limiter, TooOftenError
from sigma68.challenge.web.markdown import html_of
from sigma68.challenge.web.pages.submissions import entry_name
from sigma68.challenge.web.settings import secret_of
from sigma68.challenge.web.tickets import Ticket, Tickets
from sigma68.challenge.web.uploads import file_name
from sigma68.challenge.web.words import duration, size, until
from sigma68.errors import SettingsError
from tests.challenge.web.conftest import START


def drawn(svg: str) -> ET.Element:
    root = ET.fromstring(svg)
    assert "style" not in {key for part in root.iter() for key in part.attrib}
    return root


@pytest.mark.parametrize(
    ("low", "high"), [(0.0, 1.0), (-0.58, -0.57), (0.2, 0.2), (-7.0, 2.0), (1e-4, 3e-4)]
)
def test_ticks_are_round_and_within(low: float, high: float) -> None:
    scale = scale_over(low, high)
    assert scale.low <= low
    assert high <= scale.high
    assert 2 <= len(scale.ticks) <= 10
    assert all(scale.low - 1e-9 <= tick <= scale.high + 1e-9 for tick in scale.ticks)


def test_a_score_stands_where_the_axis_says() -> None:
    scale = Scale(0.0, 1.0, (0.0, 0.5, 1.0))
    marks = drawn(score_bar(scale, 0.5, 0.25, 0.75))
    circle = next(part for part in marks if part.tag == "circle")
    middle = float(marks.attrib["width"]) / 2
    assert float(circle.attrib["cx"]) == pytest.approx(middle)
    assert marks.attrib["aria-label"] == "score 0.500, from 0.250 to 0.750"
    texts = [part.text for part in drawn(score_axis(scale)) if part.tag == "text"]
    assert texts == ["0.0", "0.5", "1.0"]


def test_a_score_far_below_becomes_an_arrow() -> None:
    scale = score_scale([0.9, 1.0, -40.0, None, float("nan")])
    assert scale.low > 0.5
    assert "off the scale" in score_bar(scale, -40.0, -41.0, -39.0)
    assert "no score" in score_bar(scale, None)
    assert score_scale([]).low < score_scale([]).high


def test_coverage_is_drawn_for_every_set() -> None:
    rows = [
        {"mu": 0.5 * i, "coverage": c, "coverage_low": c - 0.1, "coverage_high": c + 0.1}
        | {"n_toys": 100}
        for i, c in enumerate((0.68, 0.99, 0.2), 1)
    ]
    svg = coverage_figure({"level": 0.6827}, rows, "mu")
    assert svg is not None
    root = drawn(svg)
    points = [part for part in root if part.tag == "circle"]
    assert [part.attrib["class"] for part in points] == ["point", "point off", "point off"]
    assert "2 outside the window" in root.attrib["aria-label"]
    assert coverage_figure({}, [], "mu") is None
    many = coverage_figure({}, rows * 400, "mu")
    assert many is not None
    assert 'class="error' not in many


@pytest.mark.parametrize(
    ("text", "never"),
    [
        ("<script>alert(1)</script>", "<script"),
        ("[a](javascript:alert(1))", "href"),
        ("[a](data:text/html,x)", "href"),
        ("![a](https://elsewhere.example/x.png)", "<img"),
        ("<a href='x' onclick='alert(1)'>a</a>", "<a"),
        ("<b style='position:fixed'>a</b>", "<b"),
    ],
)
def test_markdown_cannot_do_anything(text: str, never: str) -> None:
    assert never not in html_of(text)


def test_markdown_is_read() -> None:
    html = html_of("# Top\n\n**b** `c` [d](https://example.org)\n\n| x |\n|---|\n| 1 |")
    assert "<h3>Top</h3>" in html
    assert "<strong>b</strong> <code>c</code>" in html
    assert 'rel="noopener noreferrer nofollow ugc"' in html
    assert "<td>1</td>" in html


def test_a_limit_slides_and_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    limiter = Limiter({"x": Limit("knocks", 2, timedelta(minutes=1))})
    limiter.count("x", "a", START)
    limiter.count("x", "a", START + timedelta(seconds=40))
    limiter.check("x", "b", START)
    with pytest.raises(TooOftenError, match="too many knocks from here: wait 20 s") as caught:
        limiter.count("x", "a", START + timedelta(seconds=40))
    assert caught.value.seconds == 20
    limiter.count("x", "a", START + timedelta(seconds=60))
    monkeypatch.setattr("sigma68.challenge.web.limits._MOST_KEYS", 10)
    for i in range(100):
        limiter.count("x", f"k{i}", START + timedelta(minutes=2 * i))
    assert len(limiter._seen) <= 12


def test_cookies_hold_for_their_purpose_and_time() -> None:
    tickets = Tickets(b"s" * 32, 3600)
    ticket = Ticket.fresh(7, "stamp")
    text = tickets.write(ticket, START)
    assert tickets.read(text, START) == ticket
    assert tickets.read(text, START + timedelta(hours=1, seconds=1)) is None
    assert tickets.read(text, START - timedelta(hours=1)) is None  # of the future
    assert tickets.open("note", text, START) is None
    assert Tickets(b"t" * 32, 3600).read(text, START) is None
    assert tickets.read("", START) is None
    assert tickets.is_form_token(ticket, tickets.form_token(ticket))
    assert not tickets.is_form_token(Ticket.fresh(7, "stamp"), tickets.form_token(ticket))
    assert tickets.form_token(ticket) != tickets.form_token(ticket)  # masked
    assert not any(tickets.is_form_token(ticket, text) for text in ("é", "", "ab", "00" * 64))


def test_the_secret_is_made_once_and_for_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "new" / "server.key"
    made = secret_of(path)
    assert len(made) == 64
    assert secret_of(path) == made
    assert path.stat().st_mode & 0o077 == 0
    path.write_text("short")
    with pytest.raises(SettingsError, match="too few"):
        secret_of(path)


def test_names_of_uploads_are_harmless() -> None:
    assert entry_name("C:\\files\\my entry.zip") == "my entry"
    assert entry_name("../../etc/passwd") == "passwd"
    assert entry_name("\x00.zip") == "entry"
    assert file_name("my-entry") == "my-entry.zip"
    assert file_name("../x") == file_name("my entry") == "upload.zip"


def test_numbers_are_said_in_units_that_suit_them() -> None:
    assert [duration(s) for s in (0.5, 20, 300, 36000)] == ["0.5 s", "20 s", "5 min", "10 h"]
    assert [size(n) for n in (4000, 5e6, 2**33)] == ["4 kB", "5 MB", "8.59 GB"]
    spans = [timedelta(days=3), timedelta(hours=30), timedelta(minutes=1), timedelta(0)]
    assert [until(START + span, START) for span in spans] == [
        *("3 days", "30 hours", "1 minute", "less than a minute")
    ]
