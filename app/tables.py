"""Plain text tables: columns as wide as their widest cell, numbers to the right, nothing wrapped or cut."""

from collections.abc import Sequence


def text_table(headers: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a table with a header line and a rule below it.

    Args:
        headers: one per column; a column whose cells are all numbers, or empty, goes to the right.
        rows: cells; None is an empty cell, floats must come formatted.
    """
    cells = [["" if cell is None else str(cell) for cell in row] for row in rows]
    widths = [max(len(text) for text in column) for column in zip(headers, *cells, strict=True)]
    right = [all(_is_number(row[index]) for row in cells) for index in range(len(headers))]
    lines = [_line(headers, widths, right), "  ".join("-" * width for width in widths)]
    lines += [_line(row, widths, right) for row in cells]
    return "\n".join(lines)


def field_lines(fields: Sequence[tuple[str, object]]) -> str:
    """Return name and value pairs, one a line, values aligned."""
    width = max((len(name) for name, _ in fields), default=0)
    return "\n".join(f"{name:<{width}}  {value}".rstrip() for name, value in fields)


def _is_number(text: str) -> bool:
    return not text or text[0].isdigit() or (text[0] in "-+." and text[1:2].isdigit())


def _line(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    parts = [
        text.rjust(width) if to_right else text.ljust(width)
        for text, width, to_right in zip(cells, widths, right, strict=True)
    ]
    return "  ".join(parts).rstrip()
