"""Who is in view and who was lately, as a Qt model: rows come and go one by one, so that a name being typed
stays under the hand."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QAbstractListModel, QModelIndex, QObject, QPersistentModelIndex, Qt, Signal

from engine.structures import TrackedPerson

RECENT_S = 10.0
"""How long somebody who is gone stays in the list."""
ENTRY_ROLE = Qt.ItemDataRole.UserRole
Index = QModelIndex | QPersistentModelIndex
ROOT = QModelIndex()


@dataclass(slots=True)
class PersonEntry:
    """One row. seen_s: age of the track; gone_s: how long out of view, 0 in view, None never seen."""

    track_id: int
    name: str = ""
    score: float = 0.0
    seen_s: float = 0.0
    last_s: float | None = None
    gone_s: float | None = None
    followed: bool = False
    ignored: bool = False

    @property
    def in_view(self) -> bool:
        """Whether the person is in the frame shown."""
        return self.gone_s == 0.0

    @property
    def key(self) -> tuple[bool, int]:
        """What rows are sorted by: ignored people last."""
        return self.ignored, self.track_id


class PeopleModel(QAbstractListModel):
    """One row for each person; `ENTRY_ROLE` gives the `PersonEntry`."""

    renamed = Signal(int, str)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._entries: list[PersonEntry] = []
        self._names: dict[int, str] = {}
        self._ignored: frozenset[int] = frozenset()
        self._followed: int | None = None

    def rowCount(self, parent: Index = ROOT) -> int:
        """Return the number of people."""
        return 0 if parent.isValid() else len(self._entries)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return a person's name, or all that is known."""
        if not index.isValid() or index.row() >= len(self._entries):
            return None
        entry = self._entries[index.row()]
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole):
            return self.shown_name(entry)
        if role == Qt.ItemDataRole.EditRole:
            return entry.name
        return entry if role == ENTRY_ROLE else None

    def setData(self, index: Index, value: Any, role: int = Qt.ItemDataRole.EditRole) -> bool:
        """Take a name that somebody typed; empty takes it away."""
        if not index.isValid() or role != Qt.ItemDataRole.EditRole:
            return False
        entry, name = self._entries[index.row()], str(value).strip()
        if name != entry.name:
            entry.name = name
            self._names[entry.track_id] = name
            self.dataChanged.emit(index, index)
            self.renamed.emit(entry.track_id, name)
        return True

    def flags(self, index: Index) -> Qt.ItemFlag:
        """Let every name be edited."""
        flags = super().flags(index)
        return flags | Qt.ItemFlag.ItemIsEditable if index.isValid() else flags

    def shown_name(self, entry: PersonEntry) -> str:
        """Return a person's name, or what stands for it."""
        return entry.name or self.tr("Person {number}").format(number=entry.track_id)

    def entry(self, track_id: int) -> PersonEntry | None:
        """Return what is known of a person in the list."""
        return next((entry for entry in self._entries if entry.track_id == track_id), None)

    def entries(self) -> Sequence[PersonEntry]:
        """Return all rows in order."""
        return tuple(self._entries)

    def take_people(self, people: Sequence[TrackedPerson], time_s: float) -> None:
        """Bring the rows up to a frame: who is in it, who is gone and for how long.

        Args:
            people: of the frame.
            time_s: of the frame; it may jump back where somebody seeks.
        """
        known = {entry.track_id: entry for entry in self._entries}
        present = {person.track_id: person for person in people}
        for track_id, person in present.items():
            entry = known.setdefault(track_id, PersonEntry(track_id))
            entry.score, entry.seen_s = person.score, person.age_s
            entry.last_s, entry.gone_s = time_s, 0.0
        for track_id in known.keys() - present.keys():
            entry = known[track_id]
            if entry.last_s is not None:
                # at a jump back somebody may be "last seen" later than now: gone, for no time one can tell
                entry.gone_s = max(time_s - entry.last_s, 1e-3)
        self._settle(known)

    def take_book(self, names: Mapping[int, str], ignored: Set[int], followed: int | None) -> None:
        """Take who is called what, who is ignored and who is followed."""
        self._names, self._ignored, self._followed = dict(names), frozenset(ignored), followed
        self._settle({entry.track_id: entry for entry in self._entries})

    def clear(self) -> None:
        """Forget everybody."""
        self.beginResetModel()
        self._entries = []
        self._names, self._ignored, self._followed = {}, frozenset(), None
        self.endResetModel()

    def _settle(self, known: dict[int, PersonEntry]) -> None:
        """Show whom there is reason to show, with as few rows moved as possible."""
        for track_id in self._ignored - known.keys():
            known[track_id] = PersonEntry(track_id)
        # A row that changes sides has to leave before it comes back elsewhere.
        moved = {e.track_id for e in self._entries if e.ignored != (e.track_id in self._ignored)}
        for track_id, entry in known.items():
            entry.name = self._names.get(track_id, "")
            entry.followed = track_id == self._followed
        kept = {track_id for track_id, entry in known.items() if self._is_kept(entry)}
        for row in range(len(self._entries) - 1, -1, -1):
            if (track_id := self._entries[row].track_id) not in kept or track_id in moved:
                self.beginRemoveRows(ROOT, row, row)
                del self._entries[row]
                self.endRemoveRows()
        for track_id in kept:
            known[track_id].ignored = track_id in self._ignored
        here = {entry.track_id for entry in self._entries}
        for entry in sorted((known[track_id] for track_id in kept - here), key=lambda entry: entry.key):
            row = sum(other.key < entry.key for other in self._entries)
            self.beginInsertRows(ROOT, row, row)
            self._entries.insert(row, entry)
            self.endInsertRows()
        if self._entries:
            self.dataChanged.emit(self.index(0), self.index(len(self._entries) - 1))

    def _is_kept(self, entry: PersonEntry) -> bool:
        if entry.track_id in self._ignored or entry.track_id == self._followed:
            return True
        return entry.gone_s is not None and entry.gone_s <= RECENT_S
