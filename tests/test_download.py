"""Downloads that are broken off in every way end with the right file, or with a sentence."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from sigma68 import download as module
from sigma68.download import Patience, download, only_one, partial_bytes, sha256_of
from sigma68.errors import DownloadError, OutputError, SettingsError
from sigma68.meter import HowFar
from tests.file_server import Served, serving

CONTENT = np.random.default_rng(5).bytes(3_000_000)
OTHER = np.random.default_rng(6).bytes(2_500_000)
QUICK = Patience(tries=4, first_wait_s=0.001, longest_wait_s=0.002, timeout_s=20)


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class Fetcher:
    """Downloads what is served, keeping what was said and how far it was."""

    def __init__(self, served: Served, target: Path) -> None:
        self.served, self.target = served, target
        self.told: list[str] = []
        self.reports: list[HowFar] = []
        self.rooms: list[tuple[int, int]] = []

    def __call__(self, content: bytes = CONTENT, largest: int = 1 << 30) -> Path:
        return download(
            self.served.url,
            self.target,
            sha256=sha(content),
            largest=largest,
            room=lambda size, have: self.rooms.append((size, have)),
            report=self.reports.append,
            tell=self.told.append,
            patience=QUICK,
            go_on="GO ON SO",
        )


@pytest.fixture
def fetcher(tmp_path: Path) -> Iterator[Fetcher]:
    with serving(Served(CONTENT)) as served:
        yield Fetcher(served, tmp_path / "new" / "data.zip")


def left(fetcher: Fetcher) -> set[str]:
    return {path.name for path in fetcher.target.parent.iterdir()}


def test_a_file_comes_whole_with_progress(fetcher: Fetcher) -> None:
    assert fetcher() == fetcher.target
    assert fetcher.target.read_bytes() == CONTENT
    assert left(fetcher) == {"data.zip"}
    assert fetcher.rooms == [(len(CONTENT), 0)]
    assert fetcher.reports[-1].done == fetcher.reports[-1].total == len(CONTENT)
    assert fetcher.told == []
    assert fetcher.served.asked[0]["Accept-Encoding"] == "identity"


def test_a_file_that_is_here_is_checked_and_not_fetched(fetcher: Fetcher) -> None:
    fetcher.target.parent.mkdir()
    fetcher.target.write_bytes(CONTENT)
    assert fetcher() == fetcher.target
    assert fetcher.served.asked == []
    fetcher.target.write_bytes(OTHER)
    with pytest.raises(DownloadError, match="is not the file that was asked for"):
        fetcher()
    assert fetcher.target.read_bytes() == OTHER


def test_broken_connections_are_gone_on_with(fetcher: Fetcher) -> None:
    fetcher.served.cuts = [1_000_000, 300_000, 1]
    fetcher()
    assert fetcher.target.read_bytes() == CONTENT
    assert fetcher.served.ranges_asked == [
        "",
        *(f"bytes={n}-" for n in (10**6, 1_300_000, 1_300_001)),
    ]
    assert {headers.get("If-Range") for headers in fetcher.served.asked[1:]} == {'"v1"'}
    assert len(fetcher.told) == 3
    assert all("ended too early: trying again" in text for text in fetcher.told)


def test_headway_renews_patience(fetcher: Fetcher) -> None:
    big = CONTENT * 6
    fetcher.served.content = big
    fetcher.served.cuts = [1_100_000] * 12
    fetcher(big)
    assert fetcher.target.read_bytes() == big
    assert len(fetcher.told) == 12 > QUICK.tries


def test_patience_ends_and_the_next_try_goes_on(fetcher: Fetcher) -> None:
    fetcher.served.cuts = [500_000, 0, 0, 0]
    with pytest.raises(DownloadError, match=r"4 times in a row, with 0\.5 MB here: GO ON SO$"):
        fetcher()
    assert partial_bytes(fetcher.target) == 500_000
    fetcher()
    assert fetcher.served.ranges_asked[-1] == "bytes=500000-"
    assert fetcher.target.read_bytes() == CONTENT
    assert fetcher.rooms == [(len(CONTENT), 0), (len(CONTENT), 500_000)]


def test_a_server_that_always_begins_anew_is_given_up(fetcher: Fetcher) -> None:
    fetcher.served.ranges = False
    fetcher.served.cuts = [1_500_000] * 20
    with pytest.raises(DownloadError, match="GO ON SO"):
        fetcher()
    assert len(fetcher.served.asked) < 10


def test_without_ranges_it_begins_anew_and_says_so(fetcher: Fetcher) -> None:
    fetcher.served.ranges = False
    fetcher.served.cuts = [1_000_000]
    fetcher()
    assert fetcher.target.read_bytes() == CONTENT
    assert "from their beginning only: beginning anew" in fetcher.told[-1]


@pytest.mark.parametrize("heeds", [True, False])
def test_a_file_that_changed_between_tries_is_fetched_anew(fetcher: Fetcher, heeds: bool) -> None:
    served = fetcher.served
    served.content, served.cuts = OTHER, [1_000_000, 0, 0, 0]
    with pytest.raises(DownloadError):
        fetcher(CONTENT)
    served.content, served.etag, served.heed_if_range = CONTENT, '"v2"', heeds
    fetcher.told.clear()
    fetcher()
    assert fetcher.target.read_bytes() == CONTENT
    assert fetcher.told[0] == "the file at the source has changed: beginning anew"


def test_a_shorter_file_between_tries_is_fetched_anew(fetcher: Fetcher) -> None:
    served = fetcher.served
    served.content, served.etag, served.cuts = CONTENT + OTHER, "", [4_000_000, 0, 0, 0]
    with pytest.raises(DownloadError):
        fetcher()
    served.content = CONTENT
    fetcher()
    assert fetcher.target.read_bytes() == CONTENT
    assert "is not longer than what is here: beginning anew" in " ".join(fetcher.told)


@pytest.mark.parametrize(
    ("etag", "date", "named"),
    [
        ('W/"weak"', "", None),
        ("", "Fri, 01 Aug 2025 10:00:00 GMT", "Fri, 01 Aug 2025 10:00:00 GMT"),
        ("", "", None),
    ],
)
def test_only_exact_names_of_versions_are_relied_on(
    fetcher: Fetcher, etag: str, date: str, named: str | None
) -> None:
    fetcher.served.etag, fetcher.served.last_modified = etag, date
    fetcher.served.cuts = [1_000_000]
    fetcher()
    assert fetcher.served.asked[1].get("If-Range") == named
    assert fetcher.served.ranges_asked[1] == "bytes=1000000-"
    assert fetcher.target.read_bytes() == CONTENT


def test_another_mirror_goes_on_where_the_first_stopped(fetcher: Fetcher) -> None:
    fetcher.served.cuts = [2_000_000, 0, 0, 0]
    with pytest.raises(DownloadError):
        fetcher()
    with serving(Served(CONTENT, etag='"mirror"')) as mirror:
        fetcher.served = mirror
        fetcher()
    assert mirror.ranges_asked == ["bytes=2000000-"]
    assert "If-Range" not in mirror.asked[0]
    assert fetcher.target.read_bytes() == CONTENT


def test_what_was_begun_for_another_content_is_not_gone_on_with(fetcher: Fetcher) -> None:
    fetcher.served.cuts = [1_000_000, 0, 0, 0]
    with pytest.raises(DownloadError):
        fetcher()
    fetcher.served.content, fetcher.served.etag = OTHER, '"other"'
    fetcher(OTHER)
    assert fetcher.served.ranges_asked[-1] == ""
    assert fetcher.target.read_bytes() == OTHER


def test_wrong_content_is_removed(fetcher: Fetcher) -> None:
    fetcher.served.content = OTHER
    with pytest.raises(DownloadError, match=f"SHA-256 is {sha(OTHER)}, not {sha(CONTENT)}"):
        fetcher()
    assert left(fetcher) == set()


def test_errors_of_the_server_pass(fetcher: Fetcher) -> None:
    fetcher.served.statuses = [500, 503, 429]
    fetcher()
    assert fetcher.target.read_bytes() == CONTENT
    assert [text.partition(":")[0] for text in fetcher.told] == [
        "the server answers with 500 Internal Server Error",
        "the server answers with 503 Service Unavailable",
        "the server answers with 429 Too Many Requests",
    ]


@pytest.mark.parametrize(
    ("retry_after", "wait"),
    [("7", 7.0), ("99999999", 600.0), ("Fri, 01 Jan 2100 00:00:00 GMT", 600.0), ("soon", 0.001)],
)
def test_the_server_says_when_to_come_back(
    fetcher: Fetcher, retry_after: str, wait: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(module.time, "sleep", waits.append)
    fetcher.served.statuses, fetcher.served.extra = [503], {"Retry-After": retry_after}
    fetcher()
    assert waits == [pytest.approx(wait)]


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (404, "is not there"),
        (403, "may not be read by us"),
        (401, "asks for a password"),
        (410, "is not there any more"),
        (418, r"cannot be had \(418 I'm a Teapot\)"),
        (204, "answers with 204"),
    ],
)
def test_what_will_never_work_is_said_at_once(fetcher: Fetcher, status: int, said: str) -> None:
    fetcher.served.statuses = [status]
    with pytest.raises(DownloadError, match=said):
        fetcher()
    assert len(fetcher.served.asked) == 1


def test_nobody_there(tmp_path: Path) -> None:
    with serving(Served(b"")) as gone:
        pass
    with pytest.raises(DownloadError, match=r"127\.0\.0\.1 cannot be reached .*refused.*GO ON SO"):
        Fetcher(gone, tmp_path / "data.zip")()


def test_a_server_that_goes_silent_is_asked_again(
    fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    import threading

    fetcher.served.cuts, fetcher.served.gate = [1_000_000], threading.Event()
    monkeypatch.setattr(sys.modules[__name__], "QUICK", Patience(50, 0.001, 0.002, timeout_s=0.3))
    fetcher()
    assert fetcher.target.read_bytes() == CONTENT
    assert "nothing came for too long" in fetcher.told[0]


def test_a_length_that_is_too_long_is_an_early_end(fetcher: Fetcher) -> None:
    fetcher.served.extra = {"Content-Length": str(len(CONTENT) + 5)}
    with pytest.raises(DownloadError, match="GO ON SO"):
        fetcher()
    assert any("not longer than what is here" in text for text in fetcher.told)


def test_a_length_that_is_too_short_cuts_the_file(fetcher: Fetcher) -> None:
    fetcher.served.extra = {"Content-Length": str(len(CONTENT) - 5)}
    with pytest.raises(DownloadError, match="is not the file that was asked for"):
        fetcher()
    assert left(fetcher) == set()


def test_a_server_that_says_no_length_is_believed_by_the_hash(fetcher: Fetcher) -> None:
    fetcher.served.said_length = False
    fetcher()
    assert fetcher.target.read_bytes() == CONTENT
    assert fetcher.rooms == []
    assert fetcher.reports[0].total is None
    assert fetcher.reports[0].seconds_left is None


@pytest.mark.parametrize("said", [True, False])
def test_more_than_it_can_be_is_not_taken(fetcher: Fetcher, said: bool) -> None:
    fetcher.served.said_length = said
    with pytest.raises(DownloadError, match="more than it should"):
        fetcher(largest=1_000_000)
    assert (partial_bytes(fetcher.target) or 0) <= 1_000_000


def test_a_zipped_answer_is_refused(fetcher: Fetcher) -> None:
    fetcher.served.extra = {"Content-Encoding": "gzip"}
    with pytest.raises(DownloadError, match="in the encoding 'gzip'"):
        fetcher()


def test_another_part_than_was_asked_for_is_refused(fetcher: Fetcher) -> None:
    fetcher.served.cuts = [1_000_000]
    fetcher.served.extra = {"Content-Range": "bytes 5-10/11"}
    fetcher()  # two headers: the right one comes first
    fetcher.target.unlink()
    fetcher.served.statuses = [206]
    with pytest.raises(DownloadError, match="another part of the file"):
        fetcher()


def test_no_room_is_said_before_anything_is_written(fetcher: Fetcher) -> None:
    def no_room(size: int, have: int) -> None:
        raise OutputError("no room")

    with pytest.raises(OutputError, match="no room"):
        download(fetcher.served.url, fetcher.target, sha256=sha(CONTENT), room=no_room)
    assert partial_bytes(fetcher.target) == 0


SCRIPT = """
import sys
from pathlib import Path
from sigma68 import download
download._SYNC = 1 << 18
download.download(sys.argv[1], Path(sys.argv[2]), sha256=sys.argv[3])
"""


def record_of(target: Path) -> dict[str, int]:
    path = target.with_name(f"{target.name}.download.json")
    return json.loads(path.read_text()) if path.exists() else {"synced": 0}


def test_a_killed_program_goes_on_with_what_is_on_the_disk(fetcher: Fetcher) -> None:
    import threading

    fetcher.served.cuts, fetcher.served.gate = [2_000_000], threading.Event()
    fetcher.target.parent.mkdir()
    command = [sys.executable, "-c", SCRIPT]
    words = [fetcher.served.url, str(fetcher.target), sha(CONTENT)]
    with subprocess.Popen([*command, *words]) as child:
        deadline = time.monotonic() + 30
        while record_of(fetcher.target)["synced"] < 1_500_000 and time.monotonic() < deadline:
            time.sleep(0.01)
        with pytest.raises(OutputError, match="another program is fetching"):
            fetcher()
        os.kill(child.pid, signal.SIGKILL)
    fetcher.served.gate.set()
    synced = record_of(fetcher.target)["synced"]
    assert 1_500_000 <= synced < 2_000_000
    with fetcher.target.with_name("data.zip.download").open("r+b") as broken:
        broken.seek(synced)
        broken.write(b"\0" * 1000)  # as a power cut leaves what was never synced
    fetcher.reports.clear()
    fetcher()
    assert fetcher.served.ranges_asked[-1] == f"bytes={synced}-"
    assert fetcher.target.read_bytes() == CONTENT
    checked = [r for r in fetcher.reports if r.what == "checking"]
    assert checked[-1].done == checked[-1].total == synced


@pytest.mark.parametrize("damage", ["", "[]", "{}", '{"url": 1, "sha256": 2}', "\xff"])
def test_a_damaged_record_costs_the_bytes_and_nothing_else(fetcher: Fetcher, damage: str) -> None:
    fetcher.served.cuts = [1_000_000, 0, 0, 0]
    with pytest.raises(DownloadError):
        fetcher()
    path = fetcher.target.with_name("data.zip.download.json")
    path.write_text(damage, encoding="latin-1")
    fetcher()
    assert fetcher.target.read_bytes() == CONTENT


def test_a_link_in_the_way_is_not_written_through(fetcher: Fetcher, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("keep")
    fetcher.target.parent.mkdir()
    fetcher.target.with_name("data.zip.download").symlink_to(precious)
    with pytest.raises(OutputError, match="cannot be written"):
        fetcher()
    assert precious.read_text() == "keep"


def test_a_full_disk_is_said_and_what_came_is_kept(fetcher: Fetcher, small_disk: Path) -> None:
    fetcher.served.said_length = False  # so that nobody can know before
    fetcher.target = small_disk / "data.zip"
    with pytest.raises(
        OutputError, match=r"cannot be written \(No space left on device\): make room"
    ):
        fetcher()
    kept = partial_bytes(fetcher.target)
    assert kept is not None
    assert kept > 1_000_000
    assert kept <= len(CONTENT)
    subprocess.run(["mount", "-o", "remount,size=8m", str(small_disk)], check=True)
    fetcher.served.said_length = True
    fetcher()
    assert fetcher.served.ranges_asked[-1].startswith("bytes=")
    assert fetcher.target.read_bytes() == CONTENT


def test_one_at_a_time(tmp_path: Path) -> None:
    with (
        only_one(tmp_path / "new"),
        pytest.raises(OutputError, match="another program is at work in"),
        only_one(tmp_path / "new"),
    ):
        pass
    with only_one(tmp_path / "new"):
        pass


def test_waits_double_up_to_the_longest() -> None:
    waits = [Patience().wait_s(n) for n in range(1, 9)]
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]


def test_a_file_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="cannot be read"):
        sha256_of(tmp_path)


def test_the_address_is_checked_first(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="plain http"):
        download("http://example.org/x", tmp_path / "new" / "x", sha256="0" * 64)
    assert not (tmp_path / "new").exists()
