"""Streams over the loopback network and named pipes, standing for cameras that can be pulled away."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.errors import SourceError, UsageError
from engine.sources import live, open_source, stream
from engine.sources.live import LiveSource

needs_pipes = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "FIRST_RETRY_S", 0.05)
    monkeypatch.setattr(live, "LAST_RETRY_S", 0.1)


def free_port(kind: int) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


SENDER = """
import sys, time
from fractions import Fraction
import av, numpy as np
target, format, *options = sys.argv[1:]
picture = np.full((96, 128, 3), 120, np.uint8)
while True:
    try:
        with av.open(target, "w", format=format, options=dict(zip(options[::2], options[1::2]))) as container:
            video = container.add_stream("libx264", rate=50)
            video.width, video.height, video.pix_fmt = 128, 96, "yuv420p"
            video.codec_context.gop_size = 5
            video.codec_context.options = {"tune": "zerolatency", "preset": "ultrafast"}
            for index in range(100_000):
                frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
                frame.pts, frame.time_base = index, Fraction(1, 50)
                container.mux(video.encode(frame))
                time.sleep(0.01)
    except (av.FFmpegError, OSError):
        time.sleep(0.1)
"""
"""Writes H.264 to an address or a pipe; tries again while nobody listens yet."""


class Sender:
    """A process of its own: FFmpeg holds Python's lock while it waits for the other end to open."""

    def __init__(self, *arguments: str) -> None:
        self._process = subprocess.Popen([sys.executable, "-c", SENDER, *arguments])

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()


@pytest.fixture
def send() -> Iterator[Callable[..., Sender]]:
    senders: list[Sender] = []

    def start(*args: Any) -> Sender:
        senders.append(Sender(*args))
        return senders[-1]

    yield start
    for sender in senders:
        sender.stop()


def open_stream(address: str | Path) -> LiveSource:
    source = open_source(address)
    assert isinstance(source, LiveSource)
    return source


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 8
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_jpegs_over_http_are_a_live_source(mjpeg_server: Any):
    with open_stream(mjpeg_server.address) as source:
        assert (source.info.name, source.info.path) == (mjpeg_server.address, None)
        assert (source.info.size, source.info.fps, source.info.live) == ((96, 128), None, True)
        frames = [next(source) for _ in range(5)]
    assert [frame.index for frame in frames] == sorted({frame.index for frame in frames})
    assert frames[0].image.max() > 200
    assert mjpeg_server.connections == 1
    assert source.warnings == []


def test_a_stream_pulled_away_and_brought_back_goes_on(mjpeg_server: Any):
    with open_stream(mjpeg_server.address) as source:
        next(source)
        mjpeg_server.stop()
        wait_until(lambda: source.state == "reconnecting")
        wait_until(lambda: "connection refused; trying again" in source.state_message)
        while source.next_within(0.05) is not None:
            pass
        last = source.frames_read + source.frames_dropped
        mjpeg_server.size = (48, 64)
        mjpeg_server.start()
        frame = source.next_within(8)
        assert frame is not None and frame.index >= last
        assert frame.image.shape == (96, 128, 3)
        assert source.state == "streaming"
        assert sum(text.startswith("no pictures for ") for text in source.warnings) == 1


def test_a_stream_that_falls_silent_is_lost_and_tried_again(
    mjpeg_server: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(stream, "STALL_TIMEOUT_S", 0.3)
    with open_stream(mjpeg_server.address) as source:
        mjpeg_server.silent = True
        wait_until(lambda: source.state == "reconnecting")
        assert "nothing came for 0.3 s" in source.state_message
        mjpeg_server.silent = False
        wait_until(lambda: source.state == "streaming")
    assert mjpeg_server.connections > 1


def test_closing_while_a_stream_is_silent_does_not_wait_for_it(
    mjpeg_server: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(stream, "STALL_TIMEOUT_S", 1.0)
    monkeypatch.setattr(live, "JOIN_S", 0.2)
    source = open_stream(mjpeg_server.address)
    mjpeg_server.silent = True
    time.sleep(0.1)
    begun = time.monotonic()
    source.close()
    assert time.monotonic() - begun < 0.8
    wait_until(lambda: not any(thread.name.startswith("capture") for thread in threading.enumerate()))


def test_a_recording_over_http_plays_at_its_own_pace(clip: Path):
    import functools
    import http.server

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=str(clip.parent))
    )
    server.daemon_threads = False
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        with open_stream(f"http://127.0.0.1:{server.server_port}/{clip.name}") as source:
            frame = next(source)
            while frame.index < 15:
                frame = next(source)
            assert frame.time_s == pytest.approx(frame.index / 25, abs=0.15)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@needs_pipes
def test_a_named_pipe_is_a_live_source_that_outlives_its_writer(tmp_path: Path, send: Callable[..., Sender]):
    path = tmp_path / "camera"
    os.mkfifo(path)
    writer = send(str(path), "mpegts")
    with open_stream(path) as source:
        assert (source.info.name, source.info.size) == ("camera", (96, 128))
        next(source)
        writer.stop()
        wait_until(lambda: source.state == "reconnecting")
        count = source.frames_read + source.frames_dropped
        send(str(path), "mpegts")
        wait_until(lambda: source.state == "streaming")
        assert source.frames_read + source.frames_dropped >= count
        assert source.next_within(5) is not None


@needs_pipes
def test_a_pipe_that_nobody_writes_into_is_refused_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(stream, "WRITER_TIMEOUT_S", 0.3)
    path = tmp_path / "camera"
    os.mkfifo(path)
    begun = time.monotonic()
    with pytest.raises(SourceError, match=r"nothing is written into the pipe .*camera; start the program"):
        open_source(path)
    assert time.monotonic() - begun < 3


@needs_pipes
def test_closing_a_pipe_whose_writer_fell_silent_is_quick(tmp_path: Path, send: Callable[..., Sender]):
    path = tmp_path / "camera"
    os.mkfifo(path)
    writer = send(str(path), "mpegts")
    source = open_stream(path)
    handle = os.open(path, os.O_WRONLY)  # Another writer keeps the pipe open, and says nothing.
    writer.stop()
    time.sleep(0.1)
    begun = time.monotonic()
    source.close()
    os.close(handle)
    assert time.monotonic() - begun < 1.5


@needs_pipes
def test_a_pipe_with_something_else_in_it_is_refused(tmp_path: Path):
    path = tmp_path / "camera"
    os.mkfifo(path)
    writer = threading.Thread(target=lambda: path.write_bytes(b"no video, but some text\n" * 200))
    writer.start()
    with pytest.raises(SourceError, match=r"what is written into the pipe .* is no video"):
        open_source(path)
    writer.join()


def test_video_over_udp_is_a_live_source(send: Callable[..., Sender]):
    address = f"udp://127.0.0.1:{free_port(socket.SOCK_DGRAM)}"
    send(f"{address}?pkt_size=1316", "mpegts")
    with open_stream(address) as source:
        assert source.info.size == (96, 128)
        assert next(source).image.mean() == pytest.approx(120, abs=6)


def test_video_over_rtsp_is_a_live_source(send: Callable[..., Sender], monkeypatch: pytest.MonkeyPatch):
    # There is no RTSP server here, so the source listens and the camera calls.
    listening = {"rtsp_transport": "tcp", "rtsp_flags": "listen", "listen_timeout": "10"}
    monkeypatch.setitem(stream._OF_SCHEME, "rtsp", listening)
    address = f"rtsp://127.0.0.1:{free_port(socket.SOCK_STREAM)}/live"
    send(address, "rtsp", "rtsp_transport", "tcp")
    with open_stream(address) as source:
        assert source.info.size == (96, 128)
        assert next(source).image.mean() == pytest.approx(120, abs=6)


@pytest.mark.parametrize("scheme", ["http", "rtsp", "rtmp", "tcp"])
def test_an_address_where_nobody_answers_is_refused_without_its_password(scheme: str):
    port = free_port(socket.SOCK_STREAM)
    with pytest.raises(SourceError) as caught:
        open_source(f"{scheme}://anna:s3cret@127.0.0.1:{port}/live?pwd=s3cret")
    text = "".join(str(error) for error in (caught.value, caught.value.__cause__ or ""))
    assert "connection refused" in text
    assert "s3cret" not in text
    assert "anna" not in text


def test_an_address_that_is_not_there_says_so(mjpeg_server: Any):
    with pytest.raises(SourceError, match="no such stream at this address"):
        open_source(mjpeg_server.address + "/missing")


def test_an_address_of_an_unknown_kind_is_wrong_usage():
    with pytest.raises(
        UsageError, match=r"gopher://\*\*\*@host is an address of an unknown kind; known are http"
    ):
        open_source("gopher://a:b@host")


def test_a_server_cannot_make_us_read_files_here(tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch):
    listing = tmp_path / "list"
    listing.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nfile://{clip}\n#EXT-X-ENDLIST\n")
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            server.settimeout(5)
            while True:
                try:
                    peer, _ = server.accept()
                except OSError:
                    return
                with peer:
                    peer.recv(4096)
                    body = listing.read_bytes()
                    kind = "Content-Type: application/vnd.apple.mpegurl"
                    head = f"HTTP/1.0 200 OK\r\n{kind}\r\nContent-Length: {len(body)}\r\n\r\n"
                    peer.sendall(head.encode() + body)

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(SourceError):
            open_source(f"http://127.0.0.1:{server.getsockname()[1]}/list.m3u8")
        server.shutdown(socket.SHUT_RDWR)
        thread.join()
