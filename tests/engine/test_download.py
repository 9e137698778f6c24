import contextlib
import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from engine import download as module
from engine.download import Patience, download
from engine.errors import ModelFileError, SinkError, UsageError

BODY = np.random.default_rng(0).bytes(700_000)
DIGEST = hashlib.sha256(BODY).hexdigest()
SHORT = Patience(timeout_s=5, attempts=3, backoff_s=0.01)


@dataclass
class Behaviour:
    """How the server answers, and what it was asked."""

    body: bytes = BODY
    ranges: bool = True
    etag: str = '"one"'
    content_type: str = "application/octet-stream"
    cut_after: list[int] = field(default_factory=list)
    """Bytes sent by each of the next answers before the connection breaks."""
    statuses: list[int] = field(default_factory=list)
    """Statuses of the next answers."""
    stall_s: float = 0.0
    location: str = ""
    asked: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)


@dataclass
class Server:
    """A server on this machine. address: its root."""

    address: str
    does: Behaviour

    @property
    def url(self) -> str:
        return f"{self.address}/store/net-{DIGEST[:8]}.pth"


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def server() -> Iterator[Server]:
    does = Behaviour()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            does.asked.append(dict(self.headers))
            does.paths.append(self.path)
            if does.statuses:
                self.send_error(does.statuses.pop(0))
                return
            if does.location:
                self.send_response(302)
                self.send_header("Location", does.location)
                self.end_headers()
                return
            start, total = 0, len(does.body)
            asked = self.headers.get("Range", "")
            if asked and does.ranges and self.headers.get("If-Range", does.etag) == does.etag:
                start = int(asked.removeprefix("bytes=").removesuffix("-"))
                if start >= total:
                    self.send_response(416)
                    self.send_header("Content-Range", f"bytes */{total}")
                    self.end_headers()
                    return
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
            else:
                self.send_response(200)
            self.send_header("Content-Type", does.content_type)
            self.send_header("Content-Length", str(total - start))
            if does.etag:
                self.send_header("ETag", does.etag)
            self.end_headers()
            time.sleep(does.stall_s)
            body = does.body[start:]
            if does.cut_after:
                body = body[: does.cut_after.pop(0)]
            with contextlib.suppress(ConnectionError):
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield Server(f"http://127.0.0.1:{httpd.server_port}", does)
    httpd.shutdown()
    httpd.server_close()
    thread.join()


@pytest.fixture
def fetch(server: Server, tmp_path: Path) -> Callable[..., str]:
    """Function that downloads the server's file to tmp_path / "net.pth" with short patience."""

    def run(url: str = "", **changes: object) -> str:
        options: dict[str, object] = {"sha256_prefix": DIGEST[:8], "patience": SHORT} | changes
        return download(url or server.url, tmp_path / "net.pth", **options)  # type: ignore[arg-type]

    return run


def test_a_good_file_arrives_whole_and_leaves_nothing_beside_it(
    fetch: Callable[..., str], tmp_path: Path
) -> None:
    told: list[tuple[int, int | None]] = []
    assert fetch(progress=lambda done, total: told.append((done, total))) == DIGEST
    assert (tmp_path / "net.pth").read_bytes() == BODY
    assert [path.name for path in tmp_path.iterdir()] == ["net.pth"]
    assert told[0] == (0, len(BODY)) and told[-1] == (len(BODY), len(BODY))


def test_a_file_that_is_there_is_not_fetched_again(fetch: Callable[..., str], server: Server) -> None:
    fetch()
    assert fetch() == DIGEST
    assert len(server.does.asked) == 1


def test_a_file_that_was_changed_is_fetched_again(fetch: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "net.pth").write_bytes(b"changed")
    assert fetch() == DIGEST
    assert (tmp_path / "net.pth").read_bytes() == BODY


def test_a_connection_that_breaks_goes_on_where_it_was(
    fetch: Callable[..., str], server: Server, tmp_path: Path
) -> None:
    server.does.cut_after = [300_000, 200_000]
    assert fetch() == DIGEST
    assert [asked.get("Range") for asked in server.does.asked] == [None, "bytes=300000-", "bytes=500000-"]
    assert server.does.asked[1]["If-Range"] == '"one"'


def test_growth_gives_new_patience(fetch: Callable[..., str], server: Server) -> None:
    server.does.cut_after = [100_000] * 6
    assert fetch() == DIGEST
    assert len(server.does.asked) == 7


def test_a_later_call_goes_on_where_the_first_one_failed(
    fetch: Callable[..., str], server: Server, tmp_path: Path
) -> None:
    server.does.cut_after, server.does.statuses = [300_000], []
    with pytest.raises(ModelFileError, match=r"300000 of 700000 bytes.*300000 bytes are kept, the next call"):
        fetch(patience=Patience(timeout_s=5, attempts=1))
    assert not (tmp_path / "net.pth").exists()
    assert fetch() == DIGEST
    assert server.does.asked[-1]["Range"] == "bytes=300000-"


def test_a_server_that_always_cuts_at_the_same_place_is_given_up(
    fetch: Callable[..., str], server: Server
) -> None:
    server.does.ranges, server.does.cut_after = False, [300_000] * 9
    with pytest.raises(ModelFileError, match="the server sent 300000 of 700000 bytes"):
        fetch()
    assert len(server.does.asked) == SHORT.attempts


def test_a_server_without_ranges_sends_the_whole_again(
    fetch: Callable[..., str], server: Server, tmp_path: Path
) -> None:
    server.does.ranges, server.does.cut_after = False, [300_000]
    assert fetch() == DIGEST
    assert (tmp_path / "net.pth").read_bytes() == BODY


def test_a_file_that_changed_on_the_server_is_fetched_from_the_start(
    fetch: Callable[..., str], server: Server, tmp_path: Path
) -> None:
    server.does.body, server.does.etag, server.does.cut_after = BODY[::-1], '"old"', [300_000]
    with pytest.raises(ModelFileError):
        fetch(patience=Patience(timeout_s=5, attempts=1))
    server.does.body, server.does.etag = BODY, '"new"'
    assert fetch() == DIGEST
    assert (tmp_path / "net.pth").read_bytes() == BODY


def test_a_kept_beginning_that_does_not_fit_is_dropped_once(
    fetch: Callable[..., str], server: Server, tmp_path: Path
) -> None:
    server.does.etag, server.does.cut_after = "", [300_000]
    with pytest.raises(ModelFileError):
        fetch(patience=Patience(timeout_s=5, attempts=1))
    part = tmp_path / "net.pth.part"
    part.write_bytes(b"\0" * 300_000)
    assert fetch() == DIGEST
    assert "Range" in server.does.asked[1] and "Range" not in server.does.asked[2]


def test_a_part_that_is_complete_needs_no_more_bytes(fetch: Callable[..., str], server: Server) -> None:
    server.does.cut_after = [len(BODY) - 1]
    with pytest.raises(ModelFileError):
        fetch(patience=Patience(timeout_s=5, attempts=1))
    server.does.body = BODY[:-1]
    digest = hashlib.sha256(BODY[:-1]).hexdigest()
    assert fetch(sha256_prefix=digest[:8]) == digest
    assert len(server.does.asked) == 2


def test_the_beginning_of_another_file_is_not_taken(
    fetch: Callable[..., str], server: Server, tmp_path: Path
) -> None:
    server.does.cut_after = [300_000]
    with pytest.raises(ModelFileError):
        fetch(server.url + "?other", patience=Patience(timeout_s=5, attempts=1))
    assert fetch() == DIGEST
    assert "Range" not in server.does.asked[-1]


def test_a_tampered_file_is_removed_and_named(
    fetch: Callable[..., str], server: Server, tmp_path: Path
) -> None:
    server.does.body = BODY[:-1] + b"!"
    with pytest.raises(
        ModelFileError, match=f"not the published file: .* instead of {DIGEST[:8]}; it was removed"
    ):
        fetch()
    assert list(tmp_path.iterdir()) == []


def test_a_web_page_in_the_place_of_the_file_is_told_as_such(
    fetch: Callable[..., str], server: Server, tmp_path: Path
) -> None:
    server.does.content_type = "text/html; charset=utf-8"
    with pytest.raises(ModelFileError, match="a web page instead of the file; a network that wants a login"):
        fetch()
    assert list(tmp_path.iterdir()) == []


def test_a_missing_file_is_an_error_at_once(fetch: Callable[..., str], server: Server) -> None:
    server.does.statuses = [404]
    with pytest.raises(ModelFileError, match="the server answered 404 Not Found; or walk there"):
        fetch(advice="or walk there")
    assert len(server.does.asked) == 1


def test_an_error_that_may_pass_is_tried_again(fetch: Callable[..., str], server: Server) -> None:
    server.does.statuses = [500, 503]
    assert fetch() == DIGEST


def test_an_error_that_stays_is_told(fetch: Callable[..., str], server: Server) -> None:
    server.does.statuses = [500] * 9
    with pytest.raises(ModelFileError, match="the server answered 500 Internal Server Error"):
        fetch()
    assert len(server.does.asked) == SHORT.attempts


def test_a_server_that_says_nothing_is_not_waited_for_forever(
    fetch: Callable[..., str], server: Server
) -> None:
    server.does.stall_s = 0.6
    start = time.monotonic()
    with pytest.raises(ModelFileError, match="nothing came for a while"):
        fetch(patience=Patience(timeout_s=0.1, attempts=2, backoff_s=0.01))
    assert time.monotonic() - start < 5


def test_a_slow_server_is_waited_for(fetch: Callable[..., str], server: Server) -> None:
    server.does.stall_s = 0.3
    assert fetch() == DIGEST


def test_a_host_that_cannot_be_reached_is_told_with_the_other_way(
    fetch: Callable[..., str], server: Server, tmp_path: Path
) -> None:
    with pytest.raises(
        ModelFileError, match=r"the host cannot be reached \(.*refused.*network and its proxy; or "
    ):
        fetch("http://127.0.0.1:1/net.pth", advice="or fetch it by other means")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "url", ["http://example.org/net.pth", "ftp://example.org/net.pth", "file:///etc/hosts", "net"]
)
def test_only_https_is_trusted_beyond_this_machine(fetch: Callable[..., str], url: str) -> None:
    with pytest.raises(UsageError, match="fetched by https"):
        fetch(url)


def test_a_redirect_to_less_than_https_is_refused(fetch: Callable[..., str], server: Server) -> None:
    server.does.location = "http://example.org/net.pth"
    with pytest.raises(UsageError, match=r"fetched by https, got 'http://example\.org"):
        fetch()


def test_a_proxy_of_the_environment_is_asked(
    fetch: Callable[..., str], server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", server.address)
    assert fetch("http://models.invalid/net.pth", allow_http=True) == DIGEST
    assert server.does.paths == ["http://models.invalid/net.pth"]


def test_a_full_disk_is_told_and_the_part_is_kept(
    fetch: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.os, "fsync", fill)
    with pytest.raises(SinkError, match=r"net\.pth cannot be written: No space left on device"):
        fetch()
    monkeypatch.undo()
    assert (tmp_path / "net.pth.part").exists() and not (tmp_path / "net.pth").exists()
    assert fetch() == DIGEST


def test_a_folder_that_cannot_be_made_is_told(server: Server, tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file, not a folder")
    with pytest.raises(SinkError, match="cannot be written"):
        download(server.url, tmp_path / "models" / "net.pth", patience=SHORT)
