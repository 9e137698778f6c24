"""The live tab: notices, the stage or what stands in its place, the transport and the record bar."""

from PySide6.QtWidgets import QFrame, QStackedWidget, QVBoxLayout, QWidget

from app.desktop.notices import NoticeBar
from app.desktop.record_bar import RecordBar
from app.desktop.state_pages import ErrorPage, LoadingPage
from app.desktop.transport import TransportBar
from app.desktop.video_view import VideoView
from app.desktop.welcome import WelcomePage


class LivePage(QWidget):
    """Lays out the parts; which of the pages is in front is for others to say."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.notices = NoticeBar()
        self.welcome = WelcomePage()
        self.loading = LoadingPage()
        self.error = ErrorPage()
        self.view = VideoView()
        self.transport = TransportBar()
        self.record_bar = RecordBar()
        self.stack = QStackedWidget()
        for page in (self.welcome, self.loading, self.error, self.view):
            self.stack.addWidget(page)
        self._bars = QWidget()
        bars = QVBoxLayout(self._bars)
        bars.setContentsMargins(8, 8, 8, 8)
        bars.setSpacing(8)
        bars.addWidget(self.transport)
        line = QFrame()
        line.setFrameShape(QFrame.Shape.HLine)
        line.setFrameShadow(QFrame.Shadow.Plain)
        line.setForegroundRole(self.palette().ColorRole.Mid)
        bars.addWidget(line)
        bars.addWidget(self.record_bar)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.notices)
        column.addWidget(self.stack, stretch=1)
        column.addWidget(self._bars)

    def show_page(self, page: QWidget) -> None:
        """Bring a page to the front; the bars belong to the video."""
        self._bars.setVisible(page is self.view)
        if self.stack.currentWidget() is not page:
            self.stack.setCurrentWidget(page)
            if page is self.view:
                self.view.setFocus()
