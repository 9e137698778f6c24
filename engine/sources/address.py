"""Network addresses: which ones are understood, and how they are shown without what is secret in them."""

import re

SCHEMES = ("http", "https", "rtmp", "rtmps", "rtsp", "rtsps", "srt", "tcp", "udp")
"""Kinds of network address that `engine.sources.stream` opens."""

_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_USER = re.compile(r"(?<=://)[^/?#\s]*@")
# Many cameras take the password in the path or the query: "?user=admin&pwd=…", "/user=admin_password=…".
_SECRET = re.compile(
    r"((?:user(?:name)?|login|pass(?:word|wd|phrase)?|pwd|token|secret|auth|signature|(?:api_?)?key|streamid)=)"
    r"[^&#/\s]+?(?=$|[&#/\s]|_\w+=)",
    re.IGNORECASE,
)


def scheme_of(text: str) -> str | None:
    """Return the scheme of a network address in lower case, None where the text is none."""
    match = _ADDRESS.match(text)
    return match.group(1).lower() if match else None


def mask_address(text: str) -> str:
    """Replace user, password and keys in a network address by ``***``, for names, messages and logs."""
    return _SECRET.sub(r"\1***", _USER.sub("***@", text))
