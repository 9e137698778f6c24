"""What reports are written to: one HTML file, or Markdown with a folder of pictures beside it."""

import base64
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Protocol

import cv2

from train.report_pictures import Picture

JPEG_QUALITY = 85
STYLE = (
    "body{font:15px/1.5 sans-serif;max-width:1080px;margin:2em auto;padding:0 1em;color:#222}"
    "table{border-collapse:collapse;margin:1em 0}td,th{padding:3px 12px;border-bottom:1px solid #ddd;"
    "text-align:left}.plots,.gallery{display:flex;flex-wrap:wrap;gap:16px}"
    "figure{margin:0}figcaption{font-size:12px;color:#555}code{background:#f4f4f4;padding:2px 4px}"
)

Rows = Sequence[Sequence[str]]


class Page(Protocol):
    """What a report is written to."""

    def heading(self, text: str) -> None:
        """Begin a section."""

    def text(self, text: str) -> None:
        """Add a paragraph."""

    def table(self, head: Sequence[str], rows: Rows) -> None:
        """Add a table."""

    def plots(self, plots: Mapping[str, str]) -> None:
        """Add SVG plots by name."""

    def gallery(self, name: str, pictures: Sequence[Picture]) -> None:
        """Add pictures with captions."""

    def save(self, path: Path, title: str) -> None:
        """Write the file, and what belongs to it."""


@dataclass(slots=True)
class HtmlPage:
    """One self-contained file."""

    parts: list[str] = field(default_factory=list)

    def heading(self, text: str) -> None:
        """Begin a section."""
        self.parts.append(f"<h2>{escape(text)}</h2>")

    def text(self, text: str) -> None:
        """Add a paragraph."""
        self.parts.append(f"<p>{escape(text)}</p>")

    def table(self, head: Sequence[str], rows: Rows) -> None:
        """Add a table."""
        lines = [_html_row("th", head)] if any(head) else []
        lines += [_html_row("td", row) for row in rows]
        self.parts.append(f"<table>{''.join(lines)}</table>")

    def plots(self, plots: Mapping[str, str]) -> None:
        """Add SVG plots by name."""
        self.parts.append(f'<div class="plots">{"".join(plots.values())}</div>')

    def gallery(self, name: str, pictures: Sequence[Picture]) -> None:
        """Add pictures with captions."""
        entries = []
        for picture in pictures:
            data = base64.b64encode(_jpeg(picture)).decode("ascii")
            caption = escape(picture.caption)
            image = f'<img alt="{caption}" src="data:image/jpeg;base64,{data}">'
            entries.append(f"<figure>{image}<figcaption>{caption}</figcaption></figure>")
        self.parts.append(f'<div class="gallery">{"".join(entries)}</div>')

    def save(self, path: Path, title: str) -> None:
        """Write the file."""
        head = f'<meta charset="utf-8"><title>{escape(title)}</title><style>{STYLE}</style>'
        body = f"<h1>{escape(title)}</h1>" + "\n".join(self.parts)
        content = f'<!doctype html><html lang="en"><head>{head}</head><body>{body}</body></html>\n'
        _write_whole(path, content.encode())


@dataclass(slots=True)
class MarkdownPage:
    """A text file, and a folder of the same name with its pictures."""

    parts: list[str] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)

    def heading(self, text: str) -> None:
        """Begin a section."""
        self.parts.append(f"## {text}")

    def text(self, text: str) -> None:
        """Add a paragraph."""
        self.parts.append(text)

    def table(self, head: Sequence[str], rows: Rows) -> None:
        """Add a table."""
        lines = [head, ["---"] * len(head), *rows]
        self.parts.append("\n".join(_markdown_row(line) for line in lines))

    def plots(self, plots: Mapping[str, str]) -> None:
        """Add SVG plots by name."""
        self.files.update({f"{name}.svg": plot.encode() for name, plot in plots.items()})
        self.parts.append("\n".join(f"![{name}](FOLDER/{name}.svg)" for name in plots))

    def gallery(self, name: str, pictures: Sequence[Picture]) -> None:
        """Add pictures with captions."""
        lines = []
        for number, picture in enumerate(pictures):
            self.files[f"{name}_{number:02}.jpg"] = _jpeg(picture)
            lines.append(f"![{picture.caption}](FOLDER/{name}_{number:02}.jpg) {picture.caption}")
        self.parts.append("\n\n".join(lines))

    def save(self, path: Path, title: str) -> None:
        """Write the file and its folder."""
        folder = path.with_suffix("")
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in self.files.items():
            _write_whole(folder / name, content)
        text = "\n\n".join([f"# {title}", *self.parts]) + "\n"
        _write_whole(path, text.replace("](FOLDER/", f"]({folder.name}/").encode())


def _write_whole(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_bytes(content)
    os.replace(part, path)


def _jpeg(picture: Picture) -> bytes:
    return cv2.imencode(".jpg", picture.image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()


def _html_row(tag: str, cells: Sequence[str]) -> str:
    return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"


def _markdown_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
