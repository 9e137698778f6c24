import json
import shutil
from pathlib import Path

import pytest

from engine.errors import UsageError
from engine.skeleton import COCO17, CROWDPOSE14
from train.data.check import check_data, format_report, report_as_json
from train.settings import DataSource


@pytest.fixture
def copied(stick_people: Path, tmp_path: Path) -> DataSource:
    """The stick people in a folder of their own."""
    shutil.copytree(stick_people, tmp_path / "data")
    return DataSource(annotations=tmp_path / "data/people.json", images=tmp_path / "data/images")


def edit(source: DataSource) -> dict:
    return json.loads(source.annotations.read_text())


def test_sound_data_pass(copied: DataSource) -> None:
    report = check_data([copied], COCO17)
    assert report.findings == ()
    assert (report.images, report.people, report.exit_code) == (12, 18, 0)
    assert format_report(report) == "12 pictures with 18 people: 0 errors, 0 warnings"


def test_faults_of_all_stations_are_reported_together(copied: DataSource) -> None:
    content = edit(copied)
    content["annotations"][0]["keypoints"][2] = 7
    content["annotations"][1]["bbox"] = [500, 500, 20, 20]
    content["images"][2]["width"] = 999
    copied.annotations.write_text(json.dumps(content))
    (copied.images / "3.png").unlink()
    whole = (copied.images / "4.png").read_bytes()
    (copied.images / "4.png").write_bytes(whole[: len(whole) // 2])
    shutil.copy(copied.images / "5.png", copied.images / "extra.png")
    report = check_data([copied], COCO17)
    assert report.counts == {
        "missing-image": 1,
        "broken-image": 1,
        "wrong-size": 1,
        "bad-label": 1,
        "bad-box": 1,
        "keypoint-far": 1,
        "unused-image": 1,
    }
    assert report.exit_code == 1
    lines = format_report(report).splitlines()
    assert "people.json: image 1, annotation 1: the visibility 7 is none of 0, 1, 2" in lines
    assert any(line.split()[:3] == ["1", "error", "missing-image"] for line in lines)
    assert lines[-1] == "12 pictures with 17 people: 5 errors, 2 warnings"


def test_pictures_are_not_decoded_where_nobody_asks(copied: DataSource) -> None:
    (copied.images / "4.png").write_bytes(b"no picture")
    assert check_data([copied], COCO17, read_pictures=False).findings == ()


def test_suspicions_alone_are_no_failure(copied: DataSource) -> None:
    content = edit(copied)
    content["annotations"][0]["num_keypoints"] = 3
    copied.annotations.write_text(json.dumps(content))
    report = check_data([copied], COCO17)
    assert (report.errors, len(report.findings), report.exit_code) == (0, 1, 0)


def test_both_sides_of_a_split_are_read_once(copied: DataSource, tmp_path: Path) -> None:
    split = tmp_path / "split.json"
    split.write_text(json.dumps({"train": [1, 2, 3, 77], "val": [3, "4.png"]}))
    sources = [copied.model_copy(update={"split": split}), copied.model_copy(update={"share": 2.0})]
    report = check_data(sources, COCO17)
    assert report.images == 12
    assert [finding.line for finding in report.findings] == [
        "split.json: side 'train' names 1 images that are not there, such as 77",
        "split.json: 1 images are on more than one side, such as 3",
    ]


def test_a_file_that_is_something_else_is_a_finding_with_advice(copied: DataSource, tmp_path: Path) -> None:
    (finding,) = [f for f in check_data([copied], CROWDPOSE14).findings if f.kind == "file"]
    assert "set format: coco and skeleton: coco17" in finding.text
    missing = copied.model_copy(update={"annotations": tmp_path / "none.json"})
    assert check_data([missing], COCO17).exit_code == 1


def test_every_bad_entry_is_reported_not_only_the_first(copied: DataSource) -> None:
    content = edit(copied)
    for entry in content["annotations"][:5]:
        entry["keypoints"] = entry["keypoints"][:6]
    copied.annotations.write_text(json.dumps(content))
    assert check_data([copied], COCO17).counts["bad-label"] == 5


def test_tables_and_lists_of_mpii_are_checked_too(tmp_path: Path, copied: DataSource) -> None:
    header = ",".join(f"{name}_{axis}" for name in COCO17.keypoints for axis in "xy")
    path = tmp_path / "labels.csv"
    path.write_text(f"image,{header}\n0.png,{','.join(['900', '10'] * 17)}\n1.png,{','.join(['x'] * 34)}\n")
    source = DataSource(format="folder", annotations=path, images=copied.images)
    (finding,) = [f for f in check_data([source], COCO17).findings if f.kind == "file"]
    assert finding.text.startswith("line 3, nose_x: expected a number")
    path.write_text(f"image,{header}\n0.png,{','.join(['900', '10'] * 17)}\n")
    kinds = set(check_data([source], COCO17).counts)
    assert {"bad-label", "unused-image"} <= kinds


def test_the_report_is_written_as_json_and_cut_to_some_lines(copied: DataSource) -> None:
    content = edit(copied)
    for entry in content["annotations"]:
        entry["num_keypoints"] = 1
    copied.annotations.write_text(json.dumps(content))
    report = check_data([copied], COCO17)
    values = json.loads(report_as_json(report))
    assert (values["images"], values["errors"], values["counts"]) == (12, 0, {"wrong-count": 18})
    assert values["findings"][3]["annotation_id"] == 4
    text = format_report(report, per_kind=5)
    assert "… and 13 more of wrong-count" in text
    assert format_report(report, per_kind=None).count("num_keypoints is 1") == 18


def test_nothing_to_check_is_refused() -> None:
    with pytest.raises(UsageError, match="nothing to check"):
        check_data([], COCO17)


@pytest.mark.shared_data
def test_the_shared_photographs_hold_one_double() -> None:
    folder = Path(__file__).parents[4] / "shared" / "data" / "coco_photos"
    if not folder.is_dir():
        pytest.skip("no shared data")
    source = DataSource(annotations=folder / "person_keypoints.json", images=folder / "images")
    report = check_data([source], COCO17)
    errors = [finding for finding in report.findings if finding.is_error]
    assert [(finding.kind, finding.annotation_id) for finding in errors] == [("duplicate-person", 86)]
