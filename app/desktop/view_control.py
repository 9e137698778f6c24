"""Connects the stage with the switches of what is drawn, with the people panel and with the region."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, QPoint, Signal
from PySide6.QtGui import QAction, QImage
from PySide6.QtWidgets import QInputDialog, QMenu, QWidget

from app.desktop.errands import Errands
from app.desktop.icons import icon
from app.desktop.live_page import LivePage
from app.desktop.overlay import OverlayOptions
from app.desktop.people import PeoplePanel
from app.desktop.preferences import Preferences
from app.desktop.session import Session
from app.desktop.stage_colours import OverlayPalette
from engine.errors import SinkError, SteadyPoseError
from engine.live_values import LiveResult

SWITCHES = ("limbs", "keypoints", "boxes", "ids", "trails", "angles", "raw", "heatmap")


class ViewControl(QObject):
    """What is drawn, who is followed, named and ignored, and where people are looked for.

    Signals:
        names_changed: `names`. region_changed: xyxy frame px or None. palette_changed: `options.palette`.
        told: (role, sentence).
    """

    names_changed = Signal()
    region_changed = Signal(object)
    palette_changed = Signal(str)
    told = Signal(str, str)

    def __init__(
        self,
        session: Session,
        page: LivePage,
        people: PeoplePanel,
        actions: Mapping[str, QAction],
        preferences: Preferences,
        window: QWidget,
    ) -> None:
        super().__init__(window)
        self._session, self._page, self._people = session, page, people
        self._actions, self._preferences, self._window = actions, preferences, window
        self.names: dict[int, str] = {}
        self._ignored: frozenset[int] = frozenset()
        self._followed: int | None = None
        self._sequence = -1
        self._hinted = preferences.get("hinted", bool, False)
        self._errands = Errands("save snapshot", self)
        self.options = preferences.get("overlay", OverlayOptions, OverlayOptions())
        self._connect_switches()
        self._connect_stage()
        self._connect_people()

    def close(self) -> None:
        """Wait until all snapshots are written."""
        self._errands.close()

    def set_options(self, options: OverlayOptions) -> None:
        """Draw something else from now on."""
        self.options = options
        self._preferences.set("overlay", options)
        self._page.view.set_options(options)
        self._session.live.set_heatmap_wanted(options.heatmap)

    def set_palette(self, palette: OverlayPalette) -> None:
        """Draw people in other colours."""
        self.set_options(replace(self.options, palette=palette))
        self.palette_changed.emit(palette)

    def set_region(self, region: tuple[float, float, float, float] | None) -> None:
        """Show a region that was set elsewhere."""
        self._page.view.set_region(region)
        self._actions["clear_region"].setEnabled(region is not None)

    def snapshot(self) -> None:
        """Write the picture with what is drawn on it, in a thread."""
        image = self._page.view.snapshot()
        if image.isNull():
            return
        folder = self._preferences.record_folder
        name = datetime.now().astimezone().strftime("snapshot-%Y%m%d-%H%M%S-%f")[:-3]
        self._errands.run(lambda: _save_image(image, folder / f"{name}.png"), self._tell_saved)

    # --- wiring ------------------------------------------------------------------------------------------

    def _connect_switches(self) -> None:
        for name in SWITCHES:
            action = self._actions[name]
            action.setChecked(bool(getattr(self.options, name)))
            action.toggled.connect(lambda on, name=name: self._switch(name, on))
        mirrored = self._actions["mirrored"]
        mirrored.setChecked(self._preferences.get("mirrored", bool, False))
        mirrored.toggled.connect(self._set_mirrored)
        self._page.transport.mirrored_changed.connect(mirrored.setChecked)
        self._session.status_changed.connect(self._show_mirrored)
        self._set_mirrored(mirrored.isChecked())
        self.set_options(self.options)

    def _connect_stage(self) -> None:
        view, actions = self._page.view, self._actions
        for name in ("zoom_in", "zoom_out", "fit"):
            actions[name].triggered.connect(getattr(view, name))
        actions["snapshot"].triggered.connect(self.snapshot)
        actions["region"].toggled.connect(lambda on: view.set_tool("region" if on else "select"))
        actions["clear_region"].triggered.connect(lambda: self._change_region(None))
        actions["unfollow"].triggered.connect(lambda: self._set_followed(None))
        view.region_drawn.connect(self._change_region)
        view.region_cleared.connect(lambda: self._change_region(None))
        view.region_cancelled.connect(lambda: actions["region"].setChecked(False))
        view.person_clicked.connect(self._toggle_follow)
        view.person_menu_requested.connect(self._open_person_menu)
        self.set_region(None)

    def _connect_people(self) -> None:
        self._people.renamed.connect(self._rename)
        self._people.follow_toggled.connect(self._toggle_follow)
        self._people.ignore_toggled.connect(self._toggle_ignore)
        self._session.result_shown.connect(self._show_people)
        self._show_book()

    # --- slots -------------------------------------------------------------------------------------------

    def _switch(self, name: str, on: bool) -> None:
        switched: dict[str, Any] = {name: on}
        self.set_options(replace(self.options, **switched))

    def _set_mirrored(self, mirrored: bool) -> None:
        self._preferences.set("mirrored", mirrored)
        self._page.transport.set_mirrored(mirrored)
        self._show_mirrored()

    def _show_mirrored(self) -> None:
        info = self._session.status.info
        live = info is not None and info.live
        # Files are shown as they are; a mirror is for who stands before a camera.
        self._page.view.set_mirrored(live and self._actions["mirrored"].isChecked())
        self._actions["mirrored"].setEnabled(live)

    def _change_region(self, region: tuple[float, float, float, float] | None) -> None:
        self._actions["region"].setChecked(False)
        self.set_region(region)
        self.region_changed.emit(region)

    def _show_people(self, live: LiveResult) -> None:
        if live.sequence != self._sequence:
            self._sequence = live.sequence
            self._people.reset()
            self.names, self._ignored, self._followed = {}, frozenset(), None
            self._session.live.ignore(())
            self._show_book()
            self.names_changed.emit()
        self._people.show_people(live.result.people, live.result.frame.time_s)
        if live.result.people and not self._hinted:
            self._hint()

    def _hint(self) -> None:
        """Tell once in a lifetime what cannot be seen."""
        self._hinted = True
        self._preferences.set("hinted", True)
        text = self.tr(
            "Click a person to follow them, right-click to name or ignore them; R records, F1 lists all keys"
        )
        self.told.emit("accent", text)

    def _rename(self, track_id: int, name: str) -> None:
        self.names = {**self.names, track_id: name} if name else _without(self.names, track_id)
        self._show_book()
        self.names_changed.emit()

    def _toggle_follow(self, track_id: int) -> None:
        self._set_followed(None if self._followed == track_id else track_id)

    def _set_followed(self, track_id: int | None) -> None:
        self._followed = track_id
        self._show_book()

    def _toggle_ignore(self, track_id: int) -> None:
        self._ignored ^= {track_id}
        if self._followed in self._ignored:
            self._followed = None
        self._session.live.ignore(self._ignored)
        self._show_book()

    def _open_person_menu(self, track_id: int, where: QPoint) -> None:
        menu = QMenu(self._window)
        menu.addSection(self.names.get(track_id) or self.tr("Person {}").format(track_id))
        following = self._followed == track_id
        menu.addAction(
            icon("follow"),
            self.tr("Let go") if following else self.tr("Follow"),
            lambda: self._toggle_follow(track_id),
        )
        menu.addAction(icon("rename"), self.tr("Name…"), lambda: self._ask_name(track_id))
        menu.addAction(icon("ignore"), self.tr("Ignore"), lambda: self._toggle_ignore(track_id))
        menu.aboutToHide.connect(menu.deleteLater)
        menu.popup(where)

    def _ask_name(self, track_id: int) -> None:
        dialog = QInputDialog(self._window)
        dialog.setWindowTitle(self.tr("Name person {}").format(track_id))
        dialog.setLabelText(self.tr("Name:"))
        dialog.setTextValue(self.names.get(track_id, ""))
        dialog.textValueSelected.connect(lambda text: self._rename(track_id, text.strip()))
        dialog.finished.connect(dialog.deleteLater)
        dialog.open()

    def _show_book(self) -> None:
        self._page.view.set_people(self.names, self._ignored, self._followed)
        self._people.set_book(self.names, self._ignored, self._followed)
        self._actions["unfollow"].setEnabled(self._followed is not None)

    def _tell_saved(self, made: Path | SteadyPoseError) -> None:
        if isinstance(made, SteadyPoseError):
            self.told.emit("bad", str(made))
        else:
            self.told.emit("good", self.tr("Snapshot saved: {}").format(made))


def _save_image(image: QImage, path: Path) -> Path:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SinkError(f"{path.parent} cannot be made: {error.strerror}; choose another folder") from error
    if not image.save(str(path)):
        raise SinkError(f"{path} cannot be written; choose another folder, or free some space")
    return path


def _without(names: dict[int, str], track_id: int) -> dict[int, str]:
    return {key: name for key, name in names.items() if key != track_id}
