"""The pages from outside: what they show to whom, and what becomes of what is sent to them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sigma68.challenge.rules import accounts
from sigma68.challenge.store.tables import PhaseSecret
from sigma68.challenge.web import pages
from tests.challenge.web.conftest import PASSWORD, Site, Visitor, new_site, serving, zipped

PUBLIC = (
    *("/", "/c/small", "/c/small/data", "/c/small/rules", "/c/small/leaderboard"),
    *("/c/small/questions", "/c/small/announcements", "/api/docs", "/sign-in", "/register"),
)
OWN = ("/account", "/c/small/submit", "/c/small/submissions", "/c/small/team")
FOR_ORGANISERS = (
    *("/admin/audit", "/admin/users", "/admin/challenges/new", "/admin/challenges/small"),
    *("/admin/challenges/small/phases/new", "/admin/challenges/small/phases/1"),
    *("/admin/challenges/small/phases/2", "/admin/challenges/small/submissions"),
)
FOR_JURORS = ("/admin", "/admin/challenges/small/jury")


def in_a_team(site: Site, name: str = "ann") -> Visitor:
    person = site.person(name)
    assert person.post("/c/small/team/new", {"name": f"Team of {name}"}).status_code == 200
    return person


def hand_in(person: Visitor, content: bytes, name: str = "mine.zip") -> str:
    """Hand a zip in; the address of the page that the visitor ends up on."""
    answer = person.post(
        "/c/small/phases/1/submit", page="/c/small/submit", files={"file": (name, content)}
    )
    return f"{answer.status_code} {answer.url.path} {answer.text}"


def test_who_sees_which_page(site: Site) -> None:
    stranger, person = site.visitor(), in_a_team(site)
    juror, organiser = site.person("jo", "juror"), site.person("olga", "organiser")
    for path in PUBLIC:
        assert stranger.get(path).status_code == 200, path
        assert person.get(path).status_code == 200, path
    for path in (*OWN, *FOR_ORGANISERS, *FOR_JURORS):
        answer = stranger.get(path)
        assert answer.url.path == "/sign-in", path
        assert dict(answer.url.params)["next"] == path
    for path in OWN:
        assert person.get(path).status_code == 200, path
    for path in (*FOR_ORGANISERS, *FOR_JURORS):
        assert person.get(path).status_code == 403, path
        assert organiser.get(path).status_code == 200, path
    for path in FOR_JURORS:
        assert juror.get(path).status_code == 200, path
    for path in FOR_ORGANISERS:
        assert juror.get(path).status_code == 403, path
    assert stranger.get("/c/none").status_code == 404
    assert stranger.get("/nothing").status_code == 404


def test_every_form_wants_the_visitor_s_own_token(site: Site) -> None:
    organiser, other = site.person("olga", "organiser"), site.person("otto", "organiser")
    stolen = other.form_token("/account")
    filled = {"slug": "small", "phase_id": "1", "submission_id": "1", "question_id": "1"}
    filled |= {"token_id": "1", "user_id": "1", "answer_id": "1", "announcement_id": "1"}
    posts = [
        route.path.format(**filled)
        for router in pages.ROUTERS
        for route in router.routes
        if "POST" in getattr(route, "methods", ())
    ]
    assert len(posts) > 25
    for path in posts:
        for fields in ({}, {"form_token": stolen}):
            answer = organiser.http.post(path, data=fields)
            assert answer.status_code == 403, (path, fields)
            assert "expired" in answer.text
    token = organiser.form_token("/account")
    answer = organiser.http.post(
        "/sign-out", data={"form_token": token}, headers={"sec-fetch-site": "cross-site"}
    )
    assert answer.status_code == 403
    assert organiser.signed_in()


def test_a_person_registers_signs_out_and_in(site: Site) -> None:
    visitor = site.visitor()
    form = {"name": "ann", "password": PASSWORD, "again": PASSWORD, "next": "/c/small/submit"}
    differing = visitor.post("/register", form | {"again": "another one"}, page="/register")
    assert (differing.status_code, "differ" in differing.text) == (422, True)
    assert 'value="ann"' in differing.text  # what was typed is still there
    assert PASSWORD not in differing.text
    assert visitor.post("/register", form, page="/register").url.path == "/c/small/submit"
    before = visitor.http.cookies["visit"]
    assert visitor.post("/sign-out").url.path == "/"
    assert not visitor.signed_in()
    wrong = visitor.post("/sign-in", {"name": "ann", "password": "a wrong password"})
    assert wrong.status_code == 401
    right = visitor.post("/sign-in", {"name": "Ann", "password": PASSWORD, "next": "//evil.org"})
    assert right.url.path == "/"
    assert right.url.host == "127.0.0.1"
    assert visitor.http.cookies["visit"] != before


@pytest.mark.parametrize(
    "path", ["//evil.org", "https://evil.org", "/\\evil.org", "javascript:alert(1)", "/a\nb", ""]
)
def test_nobody_is_sent_elsewhere(path: str) -> None:
    from sigma68.challenge.web.visits import local_path

    assert local_path(path) == "/"
    assert local_path("/c/small?phase=2") == "/c/small?phase=2"


def test_a_new_password_signs_other_devices_out(site: Site) -> None:
    phone = site.person("ann")
    laptop = site.visitor()
    laptop.post("/sign-in", {"name": "ann", "password": PASSWORD})
    form = {"old": PASSWORD, "password": "another password", "again": "another password"}
    assert phone.post("/account/password", form | {"old": "no"}).status_code == 422
    assert phone.post("/account/password", form).status_code == 200
    assert phone.signed_in()
    assert not laptop.signed_in()
    assert laptop.post("/sign-in", {"name": "ann", "password": PASSWORD}).status_code == 401


def test_a_visit_ends_after_its_time_and_cannot_be_forged(site: Site) -> None:
    person = site.person("ann")
    cookie = person.http.cookies["visit"]
    person.http.cookies.set("visit", cookie[:-2] + ("aa" if cookie[-2:] != "aa" else "bb"))
    assert not person.signed_in()
    other = site.person("bob")
    site.later(days=15)
    assert not other.signed_in()


def test_signing_in_is_limited(site: Site) -> None:
    site.person("ann")
    visitor = site.visitor()
    form = {"name": "ann", "password": "a wrong password"}
    answers = [visitor.post("/sign-in", form).status_code for _ in range(12)]
    assert answers[0] == 401
    assert answers[-1] in (401, 429)
    assert 429 in answers or "too many" in visitor.post("/sign-in", form).text
    refused = visitor.post("/sign-in", {"name": "ann", "password": PASSWORD})
    assert "too many" in refused.text
    site.later(minutes=20)
    assert visitor.post("/sign-in", {"name": "ann", "password": PASSWORD}).status_code == 200
    assert visitor.signed_in()


def test_registering_is_limited(site: Site) -> None:
    answers = []
    for i in range(11):
        visitor = site.visitor()
        form = {"name": f"user-{i}", "password": PASSWORD, "again": PASSWORD}
        answers.append(visitor.post("/register", form, page="/register").status_code)
    assert answers == [200] * 10 + [429]


def test_what_people_write_stays_text(site: Site) -> None:
    person = site.person("ann")
    nasty = "<script>alert(1)</script> <img src=x onerror=alert(1)> [a](javascript:alert(1)) **b**"
    page = person.post("/c/small/questions", {"title": nasty, "text": nasty}).text
    body = page.split("<main", 1)[1]
    assert "<script" not in body
    assert "<img" not in body
    assert 'href="javascript' not in body
    assert "<strong>b</strong>" in body


def test_headers_keep_strangers_scripts_out(site: Site) -> None:
    for path in ("/", "/sign-in", "/api/docs", "/api/v1/challenges", "/static/page.js", "/none"):
        headers = site.visitor().get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        is_static = path.startswith("/static")
        assert ("immutable" if is_static else "no-store") in headers["cache-control"]
    cookie = site.visitor().get("/sign-in").headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie


def test_pages_travel_packed(site: Site) -> None:
    answer = site.visitor().get("/c/small/rules")
    assert answer.headers["content-encoding"] == "gzip"
    assert int(answer.headers["content-length"]) < len(answer.content) / 2


def test_behind_https_cookies_travel_by_https_alone(tmp_path: Path) -> None:
    site, app = new_site(tmp_path, "https://challenge.example")
    with serving(app) as site.address:
        headers = site.visitor().get("/sign-in").headers
        site.close()
    assert headers["set-cookie"].startswith("__Host-visit=")
    assert "Secure" in headers["set-cookie"]
    assert "Path=/" in headers["set-cookie"]
    assert "Domain" not in headers["set-cookie"]
    assert "max-age" in headers["strict-transport-security"]


def test_where_nobody_registers_organisers_make_accounts(tmp_path: Path) -> None:
    site, app = new_site(tmp_path, registration=False)
    with serving(app) as site.address:
        assert "Register" not in site.visitor().get("/sign-in").text
        assert site.visitor().get("/register").status_code == 403
        new = {"name": "x", "password": PASSWORD}
        assert site.visitor().http.post("/api/v1/accounts", json=new).status_code == 403
        organiser = site.person("olga", "organiser")
        page = organiser.post("/admin/users/new", {"name": "ann"}).text
        password = re.search(r"the password <code>(\S+)</code>", page)
        assert password
        visitor = site.visitor()
        visitor.post("/sign-in", {"name": "ann", "password": password[1]})
        assert visitor.signed_in()
        site.close()


def test_no_page_has_anything_inline(site: Site) -> None:
    organiser = site.person("olga", "organiser")
    for path in (*PUBLIC, *FOR_ORGANISERS, *FOR_JURORS, "/account"):
        text = organiser.get(path).text
        assert not re.search(r"<[^>]+\s(style|on[a-z]+)=", text), path
        assert not re.search(r"<script(?![^>]*\ssrc=)", text), path
        assert "<style" not in text, path


def test_the_seed_of_a_phase_is_on_no_page(site: Site) -> None:
    organiser = site.person("olga", "organiser")
    with site.store.read() as session:
        seeds = [one.seed for one in session.query(PhaseSecret)]
    assert len(seeds) == 2
    for path in (*PUBLIC, *FOR_ORGANISERS, *FOR_JURORS, "/api/v1/challenges/small"):
        text = organiser.get(path).text
        assert not any(seed in text for seed in seeds), path


def test_a_zip_is_taken_and_what_is_none_is_told(site: Site) -> None:
    person = in_a_team(site)
    told = hand_in(person, b"no zip")
    assert told.startswith("422 ")
    assert "cannot be unzipped" in told
    assert hand_in(person, zipped(name="other.py")).startswith("422 ")
    taken = hand_in(person, zipped(), "my entry.zip")
    assert taken.startswith("200 /c/small/submissions/1")
    assert "my entry" in taken
    assert "In the queue" in taken
    assert 'data-get="/c/small/submissions/1/live"' in taken
    live = person.get("/c/small/submissions/1/live").text
    assert live.lstrip().startswith('<div id="live"')
    assert "2 uploads that were no entry" in person.get("/c/small/submissions").text
    assert site.person("bob").get("/c/small/submissions/1").status_code == 404
    assert "4" in person.get("/c/small/submit").text  # of 5 today


def test_the_sixth_of_a_day_is_refused_and_a_refund_gives_it_back(site: Site) -> None:
    person, organiser = in_a_team(site), site.person("olga", "organiser")
    for _ in range(5):
        assert hand_in(person, zipped()).startswith("200 ")
    assert hand_in(person, zipped()).startswith("429 ")
    act = "/admin/challenges/small/submissions/1"
    assert "say why" in organiser.post(act, {"what": "cancel"}).text
    done = organiser.post(act, {"what": "cancel", "reason": "our disk was full"})
    assert "is cancelled" in done.text
    assert "our disk was full" in person.get("/c/small/submissions/1").text
    assert hand_in(person, zipped()).startswith("200 ")
    site.later(days=1)
    assert hand_in(person, zipped()).startswith("200 ")


def test_a_body_that_is_too_large_is_refused_unread(site: Site) -> None:
    visitor = site.visitor()
    answer = visitor.http.post("/sign-in", content=b"x" * (2 << 20))
    assert answer.status_code == 413

    def endless() -> object:
        for _ in range(64):
            yield b"x" * (1 << 16)

    json = {"content-type": "application/json"}
    answer = site.visitor().http.post("/api/v1/accounts", content=endless(), headers=json)  # type: ignore[arg-type]
    assert answer.status_code == 413


def test_an_organiser_opens_a_challenge(site: Site) -> None:
    organiser, person = site.person("olga", "organiser"), site.person("ann")
    form = {"slug": "next-one", "title": "The next one", "task": "gaussian"}
    assert organiser.post("/admin/challenges/new", form | {"slug": "N o"}).status_code == 422
    assert organiser.post("/admin/challenges/new", form).status_code == 200
    assert person.get("/c/next-one").status_code == 404
    page = organiser.get("/admin/challenges/next-one/phases/new").text
    fields = dict(re.findall(r'<input[^>]* name="(\w+)"[^>]* value="([^"]*)"', page))
    assert fields["sets"] == "10"
    phase = fields | {"kind": "public", "updates": "daily", "nuisances": ["shift"]}
    del phase["form_token"]
    answer = organiser.post("/admin/challenges/next-one/phases/new", phase)
    assert "is added" in answer.text
    backwards = phase | {"name": "Backwards", "closes": "2001-01-01T00:00"}
    answer = organiser.post("/admin/challenges/next-one/phases/new", backwards)
    assert "must close after it opens" in answer.text
    text = {"name": "overview", "text": "## Welcome\n\n<b>bold</b>"}
    assert organiser.post("/admin/challenges/next-one/pages", text).status_code == 200
    edit = organiser.get("/admin/challenges/next-one").text
    settings = dict(re.findall(r'<input[^>]* name="(\w+)"[^>]* value="([^"]*)"', edit))
    del settings["form_token"]
    settings |= {"title": "The next one", "visible": "yes", "summary": "Soon."}
    assert "Kept" in organiser.post("/admin/challenges/next-one", settings).text
    shown = person.get("/c/next-one").text
    assert "Welcome" in shown
    assert "<b>bold" not in shown
    log = organiser.get("/admin/audit").text
    assert "add phase" in log


def test_roles_are_given_and_people_shut_out(site: Site) -> None:
    organiser, person = site.person("olga", "organiser"), site.person("ann")
    with site.store.read() as session:
        ann = accounts.find(session, "ann")
        assert ann is not None
    organiser.post(f"/admin/users/{ann.id}", {"role": "juror"})
    assert person.get("/admin").status_code == 200
    organiser.post(f"/admin/users/{ann.id}", {"disabled": "yes"})
    assert not person.signed_in()
    assert site.visitor().post("/sign-in", {"name": "ann", "password": PASSWORD}).status_code == 401


def test_a_team_is_joined_by_its_code(site: Site) -> None:
    ann, bob = in_a_team(site), site.person("bob")
    code = re.search(r"<code>([\w-]{16,})</code>", ann.get("/c/small/team").text)
    assert code
    assert bob.post("/c/small/team/join", {"code": "no such code"}).status_code == 404
    joined = bob.post("/c/small/team/join", {"code": code[1]})
    assert "ann, bob" in joined.text
    ann.post("/c/small/team/rename", {"name": "Another name", "anonymous": "yes"})
    page = bob.get("/c/small/team").text
    assert "Another name" in page
    assert "checked" in page
    assert "You have left" in bob.post("/c/small/team/leave").text
