import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtWidgets import QLineEdit
from pytestqt.qtbot import QtBot

import app.desktop.models_panel
from app.desktop.models_card import ModelCard
from app.desktop.models_panel import ModelsPanel
from app.model_rows import ModelRow
from app.model_store import ENDED, JobProgress
from engine.errors import ModelFileError

ROW = ModelRow(
    name="small",
    state="bundled",
    kind="top-down",
    keypoints=17,
    input_size=(256, 192),
    accuracy="AP 74.6",
    judged_on="COCO val2017",
    licence="Apache-2.0",
    training_data="COCO",
    documented="a page",
    size_bytes=7_000_000,
)
ROWS = (
    ROW,
    replace(ROW, name="fetched", state="downloaded"),
    replace(ROW, name="large", state="available", size_bytes=254_000_000),
    replace(ROW, name="finder", state="available", kind="bottom-up", size_bytes=115_000_000),
    replace(ROW, name="old", state="by hand", size_bytes=None, licence="BSD-3-Clause"),
)


class FakeJob:
    """A job whose progress a test sets."""

    def __init__(self, name: str) -> None:
        self.name, self.message = name, ""
        self.progress = JobProgress(0, None, "waiting")
        self.cancelled = False

    def start(self) -> None:
        self.progress = JobProgress(0, 100_000_000, "downloading")

    def cancel(self) -> None:
        self.cancelled = True

    def wait(self, timeout_s: float | None = None) -> bool:
        return True

    @property
    def ended(self) -> bool:
        return self.progress.phase in ENDED

    @property
    def stopping(self) -> bool:
        return self.cancelled and not self.ended


class World:
    """The panel, the jobs it made and the rows there are."""

    def __init__(self, qtbot: QtBot) -> None:
        self.jobs: list[FakeJob] = []
        self.rows: tuple[ModelRow, ...] = ROWS
        self.changes = 0
        self.panel = ModelsPanel(make_job=self.make_job, read_rows=lambda: self.rows)
        self.panel.models_changed.connect(self._count)
        qtbot.addWidget(self.panel)
        self.panel.resize(360, 600)
        self.panel.show()
        self.panel.refresh()
        qtbot.waitUntil(lambda: self.panel.card("small") is not None, timeout=3000)

    def make_job(self, name: str) -> FakeJob:
        self.jobs.append(FakeJob(name))
        return self.jobs[-1]

    def card(self, name: str) -> ModelCard:
        card = self.panel.card(name)
        assert card is not None
        return card

    def _count(self) -> None:
        self.changes += 1


@pytest.fixture
def world(qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setattr(app.desktop.models_panel, "missing_for_conversion", list)
    made = World(qtbot)
    yield made
    made.panel.shut_down()


def test_each_model_offers_what_can_be_done_with_it(world: World):
    buttons = {
        name: [
            word
            for word, button in (("use", card.use), ("get", card.download), ("remove", card.remove))
            if button.isVisible()
        ]
        for name, card in ((row.name, world.card(row.name)) for row in ROWS)
    }
    assert buttons == {
        "small": ["use"], "fetched": ["use", "remove"], "large": ["get"], "finder": ["get"], "old": [],
    }  # fmt: skip
    assert world.card("large")._facts.text() == "Top-down · AP 74.6 · about 254 MB"
    assert "measured on COCO val2017" in world.card("large").toolTip()
    assert "--from FILE" in world.card("old").toolTip()
    assert world.changes == 0


def test_a_download_shows_how_far_it_is_and_becomes_a_model(world: World, qtbot: QtBot):
    card = world.card("large")
    card.download.click()
    assert world.panel.busy and card.cancel.isVisible() and not card.download.isVisible()
    job = world.jobs[0]
    job.progress = JobProgress(34_000_000, 100_000_000, "downloading")
    qtbot.waitUntil(lambda: card.message() == "Downloading, 34 of 100 MB", timeout=3000)
    assert card._bar.value() == 340
    job.progress = JobProgress(34_000_000, None, "downloading")
    qtbot.waitUntil(lambda: card.message() == "Downloading, 34 MB", timeout=3000)
    job.progress = JobProgress(100_000_000, 100_000_000, "converting")
    qtbot.waitUntil(lambda: card.message() == "Converting and checking…", timeout=3000)
    assert card._bar.maximum() == 0
    world.rows = tuple(replace(row, state="downloaded") if row.name == "large" else row for row in ROWS)
    job.progress = JobProgress(100_000_000, 100_000_000, "done")
    qtbot.waitUntil(lambda: world.changes == 1, timeout=3000)
    assert card.use.isVisible() and card.remove.isVisible() and not card._bar.isVisible()
    assert card.message() == "" and not world.panel.busy


def test_downloads_run_one_after_another(world: World, qtbot: QtBot):
    world.panel.start_download("large")
    world.panel.start_download("finder")
    world.panel.start_download("finder")
    assert [job.name for job in world.jobs] == ["large"]
    assert world.card("finder").message() == "Waiting…" and world.card("finder").cancel.isVisible()
    world.jobs[0].progress = JobProgress(0, None, "cancelled")
    qtbot.waitUntil(lambda: len(world.jobs) == 2, timeout=3000)
    assert world.jobs[1].name == "finder" and world.card("large").download.isVisible()


def test_one_that_waits_can_be_taken_out(world: World):
    world.panel.start_download("large")
    world.panel.start_download("finder")
    world.card("finder").cancel.click()
    assert world.card("finder").download.isVisible() and world.card("finder").message() == ""
    assert len(world.jobs) == 1 and not world.jobs[0].cancelled


def test_cancelling_says_that_it_stops_until_it_has(world: World, qtbot: QtBot):
    card = world.card("large")
    card.download.click()
    card.cancel.click()
    assert world.jobs[0].cancelled and card.message() == "Stopping…" and not card.cancel.isEnabled()
    world.jobs[0].progress = JobProgress(5, 10, "cancelled")
    qtbot.waitUntil(lambda: card.download.isVisible(), timeout=3000)
    assert card.message() == "" and world.changes == 0
    card.download.click()
    assert card.cancel.isEnabled() and len(world.jobs) == 2


def test_a_failure_stays_in_the_row_as_a_sentence(world: World, qtbot: QtBot):
    card = world.card("large")
    card.download.click()
    world.jobs[0].message = "converting it needs torch; run pip install '.[train]'"
    world.jobs[0].progress = JobProgress(0, None, "failed")
    qtbot.waitUntil(lambda: card.download.isVisible(), timeout=3000)
    assert card.message() == "Converting it needs torch; run pip install '.[train]'"
    card.download.click()
    assert card.message().startswith("Downloading")


def test_removing_needs_a_second_click(world: World, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch):
    removed: list[str] = []
    monkeypatch.setattr(app.desktop.models_panel, "remove_model", removed.append)
    card = world.card("fetched")
    card.remove.click()
    assert card.remove.text() == "Really remove" and removed == []
    world.rows = tuple(replace(row, state="available") if row.name == "fetched" else row for row in ROWS)
    card.remove.click()
    qtbot.waitUntil(lambda: world.changes == 1, timeout=3000)
    assert removed == ["fetched"] and card.download.isVisible()


def test_what_cannot_be_removed_is_said_in_its_row(
    world: World, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
):
    def refuse(name: str) -> None:
        raise ModelFileError(f"{name} is read-only")

    monkeypatch.setattr(app.desktop.models_panel, "remove_model", refuse)
    card = world.card("fetched")
    card.remove.click()
    card.remove.click()
    qtbot.waitUntil(lambda: card.message() == "Fetched is read-only", timeout=3000)


def test_use_tells_name_and_kind(world: World):
    wanted: list[tuple[str, str]] = []
    world.panel.use_wanted.connect(lambda *what: wanted.append(what))
    world.card("small").use.click()
    assert wanted == [("small", "top-down")]


def test_the_filter_shows_rows_with_all_its_words(world: World, qtbot: QtBot):
    line = world.panel.findChild(QLineEdit)
    qtbot.keyClicks(line, "bsd top-down")
    assert [name for name, card in world.panel._cards.items() if card.isVisible()] == ["old"]
    assert not world.panel._heads[True].isVisible() and world.panel._heads[False].isVisible()
    line.setText("nothing like it")
    assert world.panel._empty.isVisible() and "nothing like it" in world.panel._empty.text()
    line.clear()
    assert all(card.isVisible() for card in world.panel._cards.values())


def test_a_model_asked_for_elsewhere_is_scrolled_to(world: World, qtbot: QtBot):
    world.panel.resize(300, 200)
    world.panel._filter.setText("small")
    world.panel.reveal("old")
    area = world.panel._scroll
    qtbot.waitUntil(lambda: not world.card("old").visibleRegion().isEmpty(), timeout=1000)
    assert world.panel._filter.text() == "" and area.verticalScrollBar().value() > 0
    world.panel.reveal("unknown")


def test_a_missing_converter_is_said_before_anything_is_downloaded(
    world: World, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
):
    assert not world.panel._notice.isVisible()
    monkeypatch.setattr(app.desktop.models_panel, "missing_for_conversion", lambda: ["torch"])
    world.panel.refresh()
    qtbot.waitUntil(lambda: world.panel._notice.isVisible(), timeout=3000)
    assert "needs torch: run pip install '.[train]'" in world.panel._notice.text()


def test_a_list_that_cannot_be_read_is_said(qtbot: QtBot):
    def broken() -> tuple[ModelRow, ...]:
        raise ModelFileError("the bundled model is damaged")

    panel = ModelsPanel(read_rows=broken)
    qtbot.addWidget(panel)
    panel.show()
    panel.refresh()
    qtbot.waitUntil(lambda: panel._notice.text() == "the bundled model is damaged", timeout=3000)
    panel.shut_down()


def test_shutting_down_ends_what_runs(qtbot: QtBot):
    release = threading.Event()

    def slow() -> tuple[ModelRow, ...]:
        release.wait(5)
        return ROWS

    jobs: list[FakeJob] = []

    def make_job(name: str) -> FakeJob:
        jobs.append(FakeJob(name))
        return jobs[-1]

    panel = ModelsPanel(make_job=make_job, read_rows=slow)
    qtbot.addWidget(panel)
    panel.refresh()
    panel.start_download("large")
    threading.Timer(0.1, release.set).start()
    panel.close()
    assert jobs[0].cancelled and not panel.busy
    panel.start_download("finder")
    panel.refresh()
    qtbot.wait(50)
    assert len(jobs) == 1 and panel.card("large") is None


def test_the_real_list_and_a_real_job_work_together(
    qtbot: QtBot,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    write_marker_model: Callable[..., Path],
):
    """No checkpoint is fetched here: it lies in the data folder as an earlier download left it."""
    import hashlib

    import app.model_store
    from engine.zoo_catalogue import CATALOGUE
    from engine.zoo_store import checkpoints_dir

    monkeypatch.setenv("STEADYPOSE_DATA_DIR", str(tmp_path))
    digest = hashlib.sha256(b"weights").hexdigest()[:8]
    changes = {"name": "tiny", "path": f"x/tiny-{digest}.pth", "sha256_prefix": digest}
    monkeypatch.setitem(CATALOGUE, "tiny", CATALOGUE["hrnet-w32-coco-256x192"].model_copy(update=changes))
    checkpoints_dir().mkdir(parents=True)
    (checkpoints_dir() / f"tiny-{digest}.pth").write_bytes(b"weights")
    monkeypatch.setattr(app.model_store, "find_spec", lambda name: object())
    monkeypatch.setattr(
        app.model_store,
        "run_converter",
        lambda command, switch: (0, str(write_marker_model(Path(command[4]), "top-down"))),
    )
    panel = ModelsPanel()
    qtbot.addWidget(panel)
    panel.show()
    panel.refresh()
    qtbot.waitUntil(lambda: panel.card("tiny") is not None, timeout=5000)
    card = panel.card("tiny")
    with qtbot.waitSignal(panel.models_changed, timeout=5000):
        card.download.click()
    assert card.row.state == "downloaded" and card.use.isVisible()
    card.remove.click()
    with qtbot.waitSignal(panel.models_changed, timeout=5000):
        card.remove.click()
    assert card.row.state == "available"
    panel.shut_down()
