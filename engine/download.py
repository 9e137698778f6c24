"""Fetch one large file so that it can be trusted: resumed where it stopped, checked by its SHA-256.

Bytes go to ``NAME.part`` beside the target; ``NAME.part.json`` remembers what they are the beginning of. Only
a file whose hash fits gets its name. Proxies are those of the environment (`https_proxy`, `no_proxy`).
"""

import hashlib
import http.client
import json
import logging
import os
import re
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import IO, Any

from engine import __version__
from engine.errors import ModelFileError, SinkError, UsageError
from engine.model_file import file_sha256

LOGGER = logging.getLogger(__name__)

CHUNK_BYTES = 1 << 18
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
PASSING_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Answers after which asking again may help (RFC 9110, RFC 6585)."""

Progress = Callable[[int, int | None], None]
"""Called with bytes at hand and bytes in all, None where the server does not say."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait and how often to try.

    timeout_s: without a byte. attempts: in a row that brought nothing new. backoff_s: pause before the second
    attempt, doubled before each further one.
    """

    timeout_s: float = 30.0
    attempts: int = 4
    backoff_s: float = 1.0


class _InterruptedError(Exception):
    """The transfer stopped for a reason that may pass."""


@dataclass(frozen=True, slots=True)
class _Part:
    """The beginning of a file on disk, and what it is the beginning of."""

    path: Path
    url: str

    @property
    def _notes(self) -> Path:
        return self.path.with_name(self.path.name + ".json")

    def size(self) -> int:
        return self.path.stat().st_size if self.path.is_file() else 0

    def validator(self) -> str:
        """Return the server's name for this version of the file; empty where it gave none."""
        return str(self._read().get("validator", ""))

    def forget_foreign(self) -> None:
        """Drop bytes that came from another address."""
        if self.size() and self._read().get("url") != self.url:
            self.drop()

    def remember(self, validator: str) -> None:
        self._notes.write_text(json.dumps({"url": self.url, "validator": validator}), encoding="utf-8")

    def drop(self) -> None:
        self.path.unlink(missing_ok=True)
        self._notes.unlink(missing_ok=True)

    def become(self, target: Path) -> None:
        os.replace(self.path, target)
        self._notes.unlink(missing_ok=True)

    def _read(self) -> dict[str, Any]:
        try:
            notes = json.loads(self._notes.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return notes if isinstance(notes, dict) else {}


def download(
    url: str,
    target: Path,
    *,
    sha256_prefix: str = "",
    allow_http: bool = False,
    progress: Progress | None = None,
    patience: Patience | None = None,
    advice: str = "",
) -> str:
    """Fetch `url` into `target`, going on where an earlier call stopped.

    A target that is there already and has the hash is left as it is.

    Args:
        url: https, or http on this machine itself.
        target: the file; its folder is made if need be.
        sha256_prefix: beginning of the file's SHA-256 in lower case hexadecimal; empty checks nothing.
        allow_http: let any host be asked by http: only the hash guards the file then.
        progress: told of every piece.
        patience: timeouts and attempts.
        advice: ends the sentences of errors that another way would avoid.

    Returns:
        The whole SHA-256.

    Raises:
        UsageError: the address is of another kind.
        ModelFileError: it could not be fetched, or what came is not the file; only bytes that may still be
            the file's beginning stay behind.
        SinkError: it cannot be written.
    """
    patience = patience or Patience()
    _check_scheme(url, allow_http)
    part = _Part(target.with_name(target.name + ".part"), url)
    try:
        if target.is_file():
            digest = file_sha256(target)
            if digest.startswith(sha256_prefix):
                return digest
            target.unlink()
        target.parent.mkdir(parents=True, exist_ok=True)
        part.forget_foreign()
        resumed = part.size() > 0
        digest = _fetch(part, allow_http, progress, patience, advice)
        if resumed and not digest.startswith(sha256_prefix):
            LOGGER.warning("what was kept of %s did not fit; it is fetched from the start", target.name)
            part.drop()
            digest = _fetch(part, allow_http, progress, patience, advice)
        if not digest.startswith(sha256_prefix):
            part.drop()
            raise ModelFileError(
                f"what came from {url} is not the published file: its SHA-256 begins with "
                f"{digest[: len(sha256_prefix)]} instead of {sha256_prefix}; it was removed{_also(advice)}"
            )
        part.become(target)
    except OSError as error:
        raise SinkError(f"{target} cannot be written: {error.strerror or error}") from error
    return digest


def _also(advice: str) -> str:
    return f"; {advice}" if advice else ""


def _check_scheme(url: str, allow_http: bool) -> None:
    parts = urllib.parse.urlsplit(url)
    if parts.scheme == "https" and parts.hostname:
        return
    if parts.scheme == "http" and parts.hostname and (allow_http or parts.hostname in LOOPBACK):
        return
    raise UsageError(f"models are fetched by https, got {url!r}; give an https address")


def _fetch(part: _Part, allow_http: bool, progress: Progress | None, patience: Patience, advice: str) -> str:
    """Complete the part, trying again as long as it grows; return its SHA-256."""
    failures, most = 0, part.size()
    while True:
        try:
            return _transfer(part, allow_http, progress, patience.timeout_s, advice)
        except _InterruptedError as error:
            size = part.size()
            failures = 1 if size > most else failures + 1
            most = max(most, size)
            if failures >= patience.attempts:
                kept = f" ({size} bytes are kept, the next call goes on from there)" if size else ""
                raise ModelFileError(
                    f"{part.url} could not be fetched: {error}{kept}; look at the network and its proxy"
                    f"{_also(advice)}"
                ) from error
            LOGGER.info("%s: %s; trying again", part.url, error)
            time.sleep(patience.backoff_s * 2 ** (failures - 1))


def _transfer(part: _Part, allow_http: bool, progress: Progress | None, timeout_s: float, advice: str) -> str:
    """Ask once for what is missing and append it; return the SHA-256 of the whole."""
    start = part.size()
    headers = {"User-Agent": f"steadypose/{__version__}", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
        if validator := part.validator():
            headers["If-Range"] = validator
    request = urllib.request.Request(part.url, headers=headers)
    try:
        opener = urllib.request.build_opener(_CarefulRedirects(allow_http))
        answer = opener.open(request, timeout=timeout_s)
    except urllib.error.HTTPError as error:
        with error:
            return _refused(part, start, error, advice)
    except (OSError, http.client.HTTPException) as error:
        cause = error.reason if isinstance(error, urllib.error.URLError) else error
        if isinstance(cause, ssl.SSLCertVerificationError):
            raise ModelFileError(
                f"the certificate of {part.url} is not trusted ({cause.verify_message}); a proxy or a wrong "
                f"clock may be the cause{_also(advice)}"
            ) from error
        reason = getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
        raise _InterruptedError(f"the host cannot be reached ({reason})") from error
    with answer:
        return _receive(part, start, answer, progress, advice)


def _refused(part: _Part, start: int, error: urllib.error.HTTPError, advice: str) -> str:
    """Make of an answer that is no file what it means."""
    if error.code == 416:
        total = _total(error.headers)
        if total == start:
            return file_sha256(part.path)
        part.drop()
        raise _InterruptedError(f"the server has {total} bytes where {start} were kept")
    if error.code in PASSING_STATUS:
        raise _InterruptedError(f"the server answered {error.code} {error.reason}") from error
    raise ModelFileError(
        f"{part.url} could not be fetched: the server answered {error.code} {error.reason}{_also(advice)}"
    ) from error


def _receive(part: _Part, start: int, answer: Any, progress: Progress | None, advice: str) -> str:
    """Write the body of an answer to the part and return the SHA-256 of the whole."""
    headers: Message = answer.headers
    if headers.get_content_type() in ("text/html", "application/xhtml+xml"):
        raise ModelFileError(
            f"{part.url} answered with a web page instead of the file; a network that wants a login does so"
            f"{_also(advice)}"
        )
    if answer.status != 206:
        start = 0
    elif _first(headers) != start:
        part.drop()
        raise _InterruptedError(f"the server went on from byte {_first(headers)} instead of {start}")
    length = headers.get("Content-Length", "")
    total = start + int(length) if length.isdigit() else None
    digest = hashlib.sha256()
    with part.path.open("r+b" if start else "wb") as file:
        if start:
            _hash_into(digest, file, start)
        else:
            part.remember(_validator(headers))
        file.truncate(start)
        done = _copy(answer, file, digest, start, total, progress)
        file.flush()
        os.fsync(file.fileno())
    if total is not None and done < total:
        raise _InterruptedError(f"the server sent {done} of {total} bytes")
    if part.size() != done:
        part.drop()
        raise ModelFileError(
            f"{part.path} was written by somebody else at the same time; wait for the other download"
        )
    return digest.hexdigest()


def _copy(
    answer: Any, file: IO[bytes], digest: Any, start: int, total: int | None, progress: Progress | None
) -> int:
    """Copy the rest of an answer; return the bytes at hand, `start` included."""
    done = start
    if progress:
        progress(done, total)
    while chunk := _next_chunk(answer):
        file.write(chunk)
        digest.update(chunk)
        done += len(chunk)
        if progress:
            progress(done, total)
    return done


def _next_chunk(answer: Any) -> bytes:
    """Return what came next, empty at the end; what goes wrong here is the network, never the disk."""
    try:
        return bytes(answer.read1(CHUNK_BYTES))
    except TimeoutError as error:
        raise _InterruptedError("nothing came for a while") from error
    except (OSError, http.client.HTTPException) as error:
        raise _InterruptedError("the connection broke off") from error


def _hash_into(digest: Any, file: IO[bytes], count: int) -> None:
    while count > 0:
        chunk = file.read(min(count, CHUNK_BYTES))
        if not chunk:
            return
        digest.update(chunk)
        count -= len(chunk)


def _validator(headers: Message) -> str:
    """Return what If-Range may carry: a strong ETag, else the date (RFC 9110, 13.1.5)."""
    tag = headers.get("ETag", "")
    return tag if tag and not tag.startswith("W/") else headers.get("Last-Modified", "")


def _first(headers: Message) -> int | None:
    found = re.match(r"bytes (\d+)-", headers.get("Content-Range", ""))
    return int(found.group(1)) if found else None


def _total(headers: Message) -> int | None:
    found = re.search(r"/(\d+)$", headers.get("Content-Range", ""))
    return int(found.group(1)) if found else None


class _CarefulRedirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but not from https to anything less."""

    def __init__(self, allow_http: bool) -> None:
        self._allow_http = allow_http

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        """Refuse addresses that `download` itself would refuse."""
        _check_scheme(newurl, self._allow_http)
        return super().redirect_request(req, fp, code, msg, headers, newurl)
