from collections.abc import Callable
from pathlib import Path

import pytest

import engine.zoo
from engine.errors import ModelFileError, UsageError
from engine.model_file import ModelSpec
from engine.skeleton import SKELETONS
from engine.zoo import (
    ALIASES,
    downloaded_names,
    find_model,
    list_models,
    model_names,
    model_path,
    remove_model,
    variants,
)
from engine.zoo_catalogue import CATALOGUE, MMPOSE_STORE
from engine.zoo_store import checkpoints_dir, data_dir, downloaded_dir, store_address

PUBLISHED = "hrnet-w32-coco-256x192"


@pytest.fixture
def folder(tmp_path: Path, write_marker_model: Callable[..., Path]) -> Path:
    write_marker_model(tmp_path / "steadypose-td-w16.onnx", "top-down", accuracy={"ap": 0.5})
    write_marker_model(tmp_path / "steadypose-td-w16.int8.onnx", "top-down", precision="int8")
    write_marker_model(tmp_path / "lonely.int8.onnx", "bottom-up", precision="int8")
    return tmp_path


def test_a_model_and_its_int8_form_are_one_entry(folder: Path) -> None:
    assert model_names(folder) == ["lonely", "steadypose-td-w16"]
    entry = find_model("steadypose-td-w16", folder)
    assert entry.precisions == ("fp32", "int8")
    assert entry.aliases == ("default-top-down",)
    assert entry.file_bytes["fp32"] == (folder / "steadypose-td-w16.onnx").stat().st_size


def test_an_entry_tells_what_its_file_says(folder: Path) -> None:
    about = find_model("steadypose-td-w16", folder).describe()
    assert about["kind"] == "top-down" and about["input_size"] == [128, 96]
    assert about["accuracy"] == {"ap": 0.5} and about["licence"] == "Apache-2.0"
    # Six 1×1 colour filters over three channels with a bias, six 7×7 blurs and one gain.
    assert about["parameters"] == 6 * 3 + 6 + 6 * 49 + 1


def test_the_list_is_sorted_by_kind_and_name(folder: Path) -> None:
    assert [entry.name for entry in list_models(folder)] == ["steadypose-td-w16", "lonely"]


def test_an_alias_names_the_present_best(folder: Path) -> None:
    assert model_path("default-top-down", folder) == folder / "steadypose-td-w16.onnx"


def test_a_model_that_is_there_only_as_int8_is_found(folder: Path) -> None:
    assert model_path("lonely", folder) == folder / "lonely.int8.onnx"
    assert variants(folder / "lonely.onnx") == {"int8": folder / "lonely.int8.onnx"}


def test_a_slip_of_the_pen_gets_the_nearest_name(folder: Path) -> None:
    with pytest.raises(
        ModelFileError, match="no model called 'default-topdown'; did you mean 'default-top-down'"
    ):
        model_path("default-topdown", folder)


def test_a_name_like_no_other_gets_the_list(folder: Path) -> None:
    with pytest.raises(ModelFileError, match="known are default-top-down, default-bottom-up, lonely"):
        model_path("zzz", folder)


def test_an_alias_whose_file_is_gone_says_so(tmp_path: Path) -> None:
    with pytest.raises(
        ModelFileError, match="bundled model 'steadypose-td-w16' behind 'default-top-down' is not in"
    ):
        model_path("default-top-down", tmp_path)


@pytest.mark.parametrize("text", ["mine.onnx", "some/where/mine", "./mine"])
def test_what_looks_like_a_path_is_one(text: str, tmp_path: Path) -> None:
    assert model_path(text, tmp_path) == Path(text)


def test_every_alias_has_its_own_model() -> None:
    assert len(set(ALIASES.values())) == len(ALIASES)


@pytest.mark.skipif(not model_names(), reason="no model is bundled yet")
@pytest.mark.parametrize(
    ("alias", "kind"), [("default-top-down", "top-down"), ("default-bottom-up", "bottom-up")]
)
def test_bundled_defaults_are_of_the_right_kind_and_have_an_int8_form(alias: str, kind: str) -> None:
    entry = find_model(alias)
    assert entry.spec.kind == kind and entry.precisions == ("fp32", "int8")
    assert entry.spec.licence and entry.spec.training_data and entry.spec.accuracy


@pytest.fixture
def own(
    folder: Path, tmp_path: Path, write_marker_model: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> Path:
    """The folder of downloaded models, one in it; `folder` stands for the bundled ones."""
    monkeypatch.setattr(engine.zoo, "models_dir", lambda: folder)
    monkeypatch.setenv("STEADYPOSE_DATA_DIR", str(tmp_path / "data"))
    downloaded_dir().mkdir(parents=True)
    write_marker_model(downloaded_dir() / f"{PUBLISHED}.onnx", "top-down")
    return downloaded_dir()


def test_downloaded_models_come_after_the_bundled_ones(own: Path) -> None:
    assert [(entry.name, entry.state) for entry in list_models()] == [
        ("steadypose-td-w16", "bundled"),
        ("lonely", "bundled"),
        (PUBLISHED, "downloaded"),
    ]
    assert model_names() == ["lonely", "steadypose-td-w16"] and downloaded_names() == [PUBLISHED]


def test_a_downloaded_model_is_found_by_name(own: Path) -> None:
    assert model_path(PUBLISHED) == own / f"{PUBLISHED}.onnx"
    assert find_model(PUBLISHED).describe()["state"] == "downloaded"


def test_a_bundled_model_comes_before_a_downloaded_one_of_its_name(
    own: Path, write_marker_model: Callable[..., Path]
) -> None:
    write_marker_model(own / "steadypose-td-w16.onnx", "top-down")
    assert find_model("steadypose-td-w16").state == "bundled"
    assert downloaded_names() == [PUBLISHED]


def test_a_damaged_download_is_named_and_left_out(own: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = own / f"{PUBLISHED}.onnx"
    path.write_bytes(path.read_bytes()[:100])
    assert [entry.name for entry in list_models()] == ["steadypose-td-w16", "lonely"]
    assert f"{path} is not an ONNX model" in caplog.text
    assert f"`steadypose models remove {PUBLISHED}` takes the damaged file away" in caplog.text


def test_a_model_that_is_not_downloaded_says_how_to_get_it(own: Path) -> None:
    (own / f"{PUBLISHED}.onnx").unlink()
    with pytest.raises(ModelFileError, match=f"run `steadypose models download {PUBLISHED}`"):
        model_path(PUBLISHED)


def test_a_misspelt_published_name_gets_the_nearest(own: Path) -> None:
    with pytest.raises(ModelFileError, match="did you mean 'higherhrnet-w32-coco-512x512'"):
        model_path("higherhrnet-w32-coco-512")


def test_removing_takes_all_forms_and_what_was_kept(
    own: Path, write_marker_model: Callable[..., Path]
) -> None:
    write_marker_model(own / f"{PUBLISHED}.int8.onnx", "top-down", precision="int8")
    write_marker_model(own / f"{PUBLISHED}-dark.onnx", "top-down")
    checkpoints_dir().mkdir()
    (checkpoints_dir() / f"{CATALOGUE[PUBLISHED].file_name}.part").write_bytes(b"x" * 10)
    assert remove_model(PUBLISHED) > 1000
    assert downloaded_names() == [f"{PUBLISHED}-dark"]
    assert list(checkpoints_dir().iterdir()) == []


def test_a_half_download_can_be_removed_too(own: Path) -> None:
    (own / f"{PUBLISHED}.onnx").unlink()
    checkpoints_dir().mkdir()
    (checkpoints_dir() / f"{CATALOGUE[PUBLISHED].file_name}.part").write_bytes(b"x" * 10)
    assert remove_model(PUBLISHED) == 10


@pytest.mark.parametrize("name", ["steadypose-td-w16", "default-top-down"])
def test_bundled_models_stay(own: Path, folder: Path, name: str) -> None:
    with pytest.raises(UsageError, match="bundled with the program and cannot be removed"):
        remove_model(name)
    assert (folder / "steadypose-td-w16.onnx").exists()


@pytest.mark.parametrize("name", ["../models/steadypose-td-w16", "hrnet-w48-coco-256x192", "", "*"])
def test_what_was_not_downloaded_cannot_be_removed(own: Path, name: str) -> None:
    with pytest.raises(ModelFileError, match="was downloaded; "):
        remove_model(name)
    assert downloaded_names() == [PUBLISHED]


def test_the_data_folder_follows_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEADYPOSE_DATA_DIR", str(tmp_path / "mine"))
    assert data_dir() == tmp_path / "mine"
    monkeypatch.delenv("STEADYPOSE_DATA_DIR")
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    assert data_dir() == tmp_path / "share" / "steadypose"


def test_a_mirror_can_stand_for_the_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STEADYPOSE_MODEL_STORE", raising=False)
    assert store_address() == MMPOSE_STORE
    monkeypatch.setenv("STEADYPOSE_MODEL_STORE", "http://mirror.lan/mmpose")
    assert CATALOGUE[PUBLISHED].url(store_address()) == (
        "http://mirror.lan/mmpose/top_down/hrnet/hrnet_w32_coco_256x192-c78dce93_20200708.pth"
    )
    monkeypatch.setenv("STEADYPOSE_MODEL_STORE", "/srv/mirror")
    with pytest.raises(UsageError, match="STEADYPOSE_MODEL_STORE must be the http or https address"):
        store_address()


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_published_model_is_described_whole(name: str) -> None:
    entry = CATALOGUE[name]
    spec = entry.spec("ab" * 32)
    assert ModelSpec.model_validate_json(spec.model_dump_json()) == spec
    assert spec.skeleton is SKELETONS[entry.skeleton] and spec.checkpoint_sha256 == "ab" * 32
    assert all(side % 32 == 0 for side in entry.input_size)
    assert entry.accuracy and all(0 < value < 1 for value in entry.accuracy.values())
    assert entry.licence and entry.training_data and entry.paper and entry.judged_on
    if entry.path:
        assert len(entry.sha256_prefix) == 8 and f"-{entry.sha256_prefix}_20" in entry.file_name
        assert entry.url().startswith("https://download.openmmlab.com/mmpose/")
    assert entry.name == name and name not in ALIASES


def test_names_are_read_as_their_pages_mean_them() -> None:
    rows = {
        "hrnet-w48-coco-384x288-dark": ("hrnet_w48", (384, 288), "hrnet", "dark", 3.0, "coco17"),
        "hrnet-w32-coco-256x192-udp": ("hrnet_w32", (256, 192), "udp", "udp", 2.0, "coco17"),
        "hrnet-w32-mpii-256x256": ("hrnet_w32", (256, 256), "hrnet", "quarter", 2.0, "mpii16"),
        "higherhrnet-w48-coco-512x512": ("higherhrnet_w48", (512, 512), "hrnet", "quarter", 2.0, "coco17"),
        "higherhrnet-w32-crowdpose-512x512": (
            "higherhrnet_w32", (512, 512), "hrnet", "quarter", 2.0, "crowdpose14",
        ),
    }  # fmt: skip
    for name, (architecture, size, convention, decoder, heatmap_sigma, skeleton) in rows.items():
        entry = CATALOGUE[name]
        assert (entry.architecture, entry.input_size, entry.skeleton) == (architecture, size, skeleton)
        assert (entry.convention, entry.decoder, entry.heatmap_sigma) == (convention, decoder, heatmap_sigma)


def test_bottom_up_networks_are_described_with_tags_and_any_size() -> None:
    spec = CATALOGUE["higherhrnet-w32-coco-512x512"].spec("")
    assert spec.dynamic_size and [(tag.name, tag.stride) for tag in spec.tag_outputs] == [("tags_0", 4)]
    assert [output.stride for output in spec.heatmap_outputs] == [4, 2]
