"""Connects the session with the stage, the transport bar and the playback actions."""

from collections.abc import Mapping

from PySide6.QtCore import QObject
from PySide6.QtGui import QAction

from app.desktop.live_page import LivePage
from app.desktop.session import Session
from app.desktop.theme import Role
from app.desktop.transport import SPEEDS
from engine.live_values import LiveResult, Notice

SKIP_S = 5.0
NOTICE_S = 8.0
ROLES: dict[str, Role] = {"info": "accent", "good": "good", "warning": "warning", "bad": "bad"}


class PlaybackControl(QObject):
    """Shows what the session does and passes on what somebody wants of it."""

    def __init__(
        self, session: Session, page: LivePage, actions: Mapping[str, QAction], parent: QObject
    ) -> None:
        super().__init__(parent)
        self._session, self._page, self._actions = session, page, actions
        transport = page.transport
        transport.play_toggled.connect(self.toggle_play)
        transport.stepped.connect(session.live.step)
        transport.sought.connect(session.live.seek)
        transport.speed_changed.connect(session.live.set_speed)
        transport.loop_changed.connect(actions["loop"].setChecked)
        page.loading.cancel_wanted.connect(session.live.close_source)
        page.error.choose_wanted.connect(session.live.close_source)
        page.error.retry_wanted.connect(self._retry)
        page.view.painted.connect(self._note_painted)
        actions["play"].triggered.connect(self.toggle_play)
        actions["step_back"].triggered.connect(lambda: session.live.step(-1))
        actions["step_on"].triggered.connect(lambda: session.live.step(1))
        actions["skip_back"].triggered.connect(lambda: self._skip(-SKIP_S))
        actions["skip_on"].triggered.connect(lambda: self._skip(SKIP_S))
        actions["to_start"].triggered.connect(lambda: session.live.seek(0.0))
        actions["faster"].triggered.connect(lambda: self._change_speed(1))
        actions["slower"].triggered.connect(lambda: self._change_speed(-1))
        actions["loop"].toggled.connect(self._set_loop)
        session.status_changed.connect(self.show_status)
        session.result_followed.connect(self._follow)
        session.result_shown.connect(self._show_result)
        session.noticed.connect(self._show_notice)
        self.show_status()

    def toggle_play(self) -> None:
        """Play, or stay at the frame shown."""
        if self._session.status.playing:
            self._session.live.pause()
        else:
            self._session.live.play()

    def show_status(self) -> None:
        """Bring the page and the bars into the state of the session."""
        status, page = self._session.status, self._page
        shown = page.view.painted_result is not None or page.stack.currentWidget() is page.view
        if status.state == "empty":
            page.view.clear()
            page.show_page(page.welcome)
        elif status.state == "failed":
            page.view.clear()
            page.error.show_error(status.message, self.tr("Try again, or choose another source."))
            page.show_page(page.error)
        elif status.state == "opening":
            page.view.clear()
            page.transport.timeline.reset()
            page.loading.show_loading(status.message)
            page.show_page(page.loading)
        elif not shown:
            page.loading.show_loading(self.tr("Loading the models"), status.loading or "")
            page.show_page(page.loading)
        self._show_transport()

    def _show_transport(self) -> None:
        status, transport = self._session.status, self._page.transport
        info = status.info
        live = info is not None and info.live
        here = info is not None
        for name in ("play", "step_on"):
            self._actions[name].setEnabled(here)
        for name in ("step_back", "skip_back", "skip_on", "to_start", "faster", "slower", "loop"):
            self._actions[name].setEnabled(here and not live)
        transport.set_live(live)
        transport.set_playing(status.playing)
        if live:
            texts: dict[str, tuple[str, Role]] = {
                "playing": (self.tr("Live"), "good"),
                "paused": (self.tr("Paused"), "warning"),
                "reconnecting": (status.message or self.tr("Reconnecting"), "warning"),
            }
            transport.set_state(*texts.get(status.state, (status.message, "warning")))
        elif info is not None:
            transport.set_time(status.position_s, info.duration_s)

    def _follow(self, live: LiveResult) -> None:
        self._page.transport.timeline.add_people(live.result.frame.time_s, len(live.result.people))

    def _show_result(self, live: LiveResult) -> None:
        status, skeleton = self._session.status, self._session.live.skeleton
        if skeleton is None or status.state in ("empty", "opening", "failed"):
            return
        self._page.view.show_result(live, skeleton)
        self._page.show_page(self._page.view)
        info = status.info
        if info is not None and not info.live and not self._page.transport.timeline.dragging:
            self._page.transport.set_time(live.result.frame.time_s, info.duration_s)

    def _show_notice(self, notice: Notice) -> None:
        timeout_s = NOTICE_S if notice.role in ("info", "good") else 2 * NOTICE_S
        self._page.notices.show_notice(
            notice.text, ROLES[notice.role], timeout_s=timeout_s, key=f"{notice.key}: {notice.text}"
        )

    def _note_painted(self) -> None:
        painted = self._page.view.painted_result
        if painted is not None:
            self._session.note_painted(painted)

    def _retry(self) -> None:
        request = self._session.status.request
        if request is not None:
            self._session.live.open(request)

    def _skip(self, seconds: float) -> None:
        self._session.live.seek(max(0.0, self._session.live.status.position_s + seconds))

    def _change_speed(self, steps: int) -> None:
        place = SPEEDS.index(self._page.transport.speed) + steps
        if 0 <= place < len(SPEEDS):
            self._page.transport.set_speed(SPEEDS[place])
            self._session.live.set_speed(SPEEDS[place])

    def _set_loop(self, loop: bool) -> None:
        self._page.transport.set_loop(loop)
        self._session.live.set_loop(loop)
