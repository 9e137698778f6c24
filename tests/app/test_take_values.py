from pathlib import Path

import pytest

from app.take_values import TakeOptions, safe_name, take_paths


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("clip.mp4", "clip"),
        ("session.2", "session.2"),
        (".MOV", "MOV"),
        ("Desk camera: HD/2", "Desk_camera_HD_2"),
        ("Über Läufer 3", "Über_Läufer_3"),
        ("rtsp://ada:secret@10.0.0.2:554/live?x=1", "rtsp_10.0.0.2_554_live_x=1"),
        ("../../etc/passwd", "etc_passwd"),
        ("..", "recording"),
        ("", "recording"),
        ("\n\t", "recording"),
    ],
)
def test_a_source_gives_its_takes_a_name_that_every_file_system_takes(name: str, safe: str):
    assert safe_name(name) == safe


@pytest.mark.parametrize("letter", ["x", "ü", "運", "🏃"])
def test_a_long_name_is_cut_between_letters(tmp_path: Path, letter: str):
    name = safe_name(letter * 300)
    assert set(name) == {letter}
    (tmp_path / f"{name}-take-1000.markers.csv").write_text("")


def test_only_what_is_asked_for_has_a_path():
    paths = take_paths(TakeOptions(Path("takes"), "session.2", annotated_video=False, clean_video=True), 3)
    assert [path.name for path in paths.all] == [
        "session.2-take-003.csv",
        "session.2-take-003.json",
        "session.2-take-003.clean.mp4",
        "session.2-take-003.markers.csv",
    ]
