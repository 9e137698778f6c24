"""Changes of settings that can be undone; the steps of one drag are one change."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from PySide6.QtGui import QUndoCommand

MERGE_S = 1.0
"""Changes of the same row that follow each other so closely are one."""
COMMAND_ID = 1


class SettingsCommand(QUndoCommand):
    """Some fields of the settings take other values.

    Only these fields are touched when it is undone, so that what others changed meanwhile stays.
    """

    def __init__(
        self,
        apply: Callable[[Mapping[str, Any], bool], None],
        before: Mapping[str, Any],
        after: Mapping[str, Any],
        *,
        text: str,
        key: str,
        drag: int | None = None,
    ) -> None:
        """Take what to do and undo; the first `redo` comes from the stack.

        Args:
            apply: takes path to value, and whether a slider is being dragged.
            before: path to value now.
            after: path to value then, of the same paths.
            text: what an undo menu calls it.
            key: changes of the same key may become one.
            drag: number of the drag it is part of; None for a single change.
        """
        super().__init__(text)
        self._apply, self._before, self._after = apply, dict(before), dict(after)
        self._key, self._drag = key, drag
        self._dragging = drag is not None
        self._made_s = time.monotonic()

    def id(self) -> int:
        """Let the stack offer changes of settings to each other."""
        return COMMAND_ID

    def redo(self) -> None:
        """Take the new values."""
        self._apply(self._after, self._dragging)
        self._dragging = False

    def undo(self) -> None:
        """Take the old values."""
        self._apply(self._before, False)

    def mergeWith(self, other: QUndoCommand) -> bool:
        """Swallow the next step of the same drag, or the same row moved again at once."""
        if not isinstance(other, SettingsCommand) or not self._key or other._key != self._key:
            return False
        same_drag = self._drag is not None and self._drag == other._drag
        if not same_drag and (self._drag != other._drag or other._made_s - self._made_s > MERGE_S):
            return False
        self._before = {**other._before, **self._before}
        self._after = {**self._after, **other._after}
        self._made_s = other._made_s
        if self._before == self._after:
            self.setObsolete(True)
        return True
