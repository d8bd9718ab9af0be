"""What we are made of is listed byte for byte, and an audit that asked nobody does not pass."""

import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.supply import audit, sbom

HOLED = tuple(audit.HOLED.split("=="))
PINNED = re.compile(r"^([\w.-]+)==(\S+)", re.M)


class Feed(ThreadingHTTPServer):
    """An OSV of our own on the loopback address. ``holes``: (library, version) -> numbers."""

    status = 200

    def __init__(self) -> None:
        self.holes: dict[tuple[str, ...], list[str]] = {HOLED: ["CVE-2020-14343"]}
        self.asked: list[tuple[str, ...]] = []
        super().__init__(("127.0.0.1", 0), Answer)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_address[1]}/v1/query"


class Answer(BaseHTTPRequestHandler):
    """One question about one library."""

    server: Feed

    def do_POST(self) -> None:
        """Answer as OSV does: an empty object when nothing is known."""
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        name, version = asked["package"]["name"], asked["version"]
        self.server.asked.append((name, version))
        affected = [{"package": {"name": name, "ecosystem": "PyPI"}}]
        known = [
            {"id": number, "summary": "a hole", "affected": affected}
            for number in self.server.holes.get((name, version), [])
        ]
        body = json.dumps({"vulns": known} if known else {}).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Quiet."""


@pytest.fixture
def feed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Feed]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Feed() as feed:
        thread = threading.Thread(target=feed.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield feed
        feed.shutdown()
        thread.join()


@pytest.fixture
def small(tmp_path: Path) -> str:
    """Requirements of one library, so that a refusal is quick."""
    file = tmp_path / "small.txt"
    file.write_text("flask==3.1.3\n", "utf8")
    return str(file)


def test_every_library_that_runs_is_asked_about(
    feed: Feed, capsys: pytest.CaptureFixture[str]
) -> None:
    assert audit.main(feed.url) == 0
    pinned = {(name.lower(), v) for name, v in PINNED.findall(audit.REQUIREMENTS.read_text("utf8"))}
    assert set(feed.asked) == pinned | {HOLED}
    assert capsys.readouterr().out == f"0 known holes in {len(pinned)} libraries\n"


def test_a_known_hole_fails(feed: Feed, small: str, capsys: pytest.CaptureFixture[str]) -> None:
    feed.holes["flask", "3.1.3"] = ["PYSEC-2099-1", "CVE-2099-2"]
    assert audit.main(feed.url, small) == 1
    assert capsys.readouterr() == (
        "2 known holes in 1 libraries\n",
        "flask==3.1.3: PYSEC-2099-1, CVE-2099-2\n",
    )


def refused(capsys: pytest.CaptureFixture[str], *told: str) -> str:
    """The sentence with which the audit refuses to have passed."""
    assert audit.main(*told) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("Nothing was audited, so nothing is known: ")
    return said.err


def test_a_feed_that_cannot_be_reached_is_no_pass(
    feed: Feed, small: str, capsys: pytest.CaptureFixture[str]
) -> None:
    nobody = "http://127.0.0.1:9/v1/query"
    assert f"{nobody} could not be asked" in refused(capsys, nobody, small)
    feed.status = 503
    assert f"{feed.url} could not be asked" in refused(capsys, feed.url, small)


def test_a_feed_that_knows_nothing_is_no_pass(
    feed: Feed, small: str, capsys: pytest.CaptureFixture[str]
) -> None:
    feed.holes.clear()
    assert f"{feed.url} knows nothing: not even" in refused(capsys, feed.url, small)
    assert feed.asked == [HOLED]


def test_no_library_is_no_pass(
    feed: Feed, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = tmp_path / "empty.txt"
    empty.write_text("# nothing\n", "utf8")
    assert "empty.txt names no library" in refused(capsys, feed.url, str(empty))


def test_the_exit_status_reaches_the_shell(small: str) -> None:
    argv = [sys.executable, "-m", "tests.supply.audit", "http://127.0.0.1:9/", small]
    assert subprocess.run(argv, cwd=sbom.ROOT, capture_output=True, check=False).returncode == 2


def test_the_bill_of_materials_is_the_pins(tmp_path: Path) -> None:
    first, second = tmp_path / "first.json", tmp_path / "second.json"
    pins = PINNED.findall(audit.REQUIREMENTS.read_text("utf8"))
    assert sbom.write(first) == len(pins)
    again = [*sbom.command(second), "--no-validate"]
    subprocess.run(again, cwd=sbom.ROOT, capture_output=True, check=True)
    assert first.read_bytes() == second.read_bytes()
    bill = json.loads(first.read_text("utf8"))
    assert (bill["bomFormat"], bill["metadata"]["component"]["name"]) == ("CycloneDX", "xianzhen")
    assert sorted((one["name"], one["version"]) for one in bill["components"]) == sorted(pins)
    for one in bill["components"]:
        (place,) = one["externalReferences"]
        assert place["url"] == f"simple/{one['name']}/"
        assert place["hashes"]
    assert str(sbom.ROOT) not in first.read_text("utf8")
