"""Opens the app on the demo clip, and writes the seconds from its start to the first painted skeleton.

Run as a process of its own by `app.bench.window`, with the time at which it was started.
"""

import sys
import tempfile
import time
from pathlib import Path


def main(started: float) -> int:
    """Open the window, wait for a skeleton, close the window; return Qt's exit code, or 1 with a reason."""
    from PySide6.QtCore import QTimer

    from app.desktop.application import make_application
    from app.desktop.preferences import Preferences
    from app.desktop.theme import apply_theme

    application = make_application(sys.argv[:1])
    with tempfile.TemporaryDirectory() as folder:
        preferences = Preferences(Path(folder) / "settings.ini")
        apply_theme(application, preferences.theme)
        from app.desktop.main_window import MainWindow

        window = MainWindow(preferences)
        view = window.page.view

        def look() -> None:
            painted = view.painted_result
            if painted is not None and painted.result.people:
                sys.stdout.write(f"{time.time() - started:.3f}\n")
                sys.stdout.flush()
                view.painted.disconnect(look)
                # Not here, in the midst of painting.
                QTimer.singleShot(0, window.close)

        def give_up() -> None:
            status = window.session.status
            if status.state == "failed":
                sys.stderr.write(f"{status.message}\n")
                window.session.status_changed.disconnect(give_up)
                window.close()

        view.painted.connect(look)
        window.session.status_changed.connect(give_up)
        window.show()
        window.sources.open_demo()
        code = application.exec()
        failed = window.session.status.state == "failed"
        window.shut_down()
        return 1 if failed else code


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1])))
