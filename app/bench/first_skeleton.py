"""Opens the app on the demo clip, and writes the seconds from its start to the first painted skeleton.

Run as a process of its own by `app.bench.window`, with the time at which it was started.
"""

import sys
import tempfile
import time
from pathlib import Path


def main(started: float) -> int:
    """Open the window, wait for a skeleton, close the window; return Qt's exit code."""
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
                window.close()

        view.painted.connect(look)
        window.show()
        window.sources.open_demo()
        code = application.exec()
        window.shut_down()
        return code


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1])))
