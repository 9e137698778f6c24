import contextlib
import hashlib
import io
import itertools
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import av
import pytest
from rich.console import Console
from typer.testing import Result

import app.model_store
import app.models
import engine.zoo
from assets import demo_clip
from assets import models_dir as assets_models_dir
from engine.download import Patience
from engine.model_file import file_sha256, read_spec
from engine.sources import open_source
from engine.zoo_catalogue import CATALOGUE, PublishedModel
from engine.zoo_store import checkpoints_dir, downloaded_dir

Invoke = Callable[..., Result]
CHECKPOINT = b"weights" * 1000
NAME = "hrnet-w32-test-64x64"


@pytest.fixture(autouse=True)
def _own_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write_marker_model: Callable[..., Path]
) -> None:
    """A data folder, a bundled model and a network of this test; no proxy, little patience."""
    monkeypatch.setenv("STEADYPOSE_DATA_DIR", str(tmp_path / "data"))
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    bundled = tmp_path / "bundled"
    bundled.mkdir()
    write_marker_model(bundled / "steadypose-td-w16.onnx", "top-down", accuracy={"mean_oks": 0.6})
    monkeypatch.setattr(engine.zoo, "models_dir", lambda: bundled)
    monkeypatch.setattr(app.models, "Patience", lambda: Patience(timeout_s=5, attempts=2, backoff_s=0.01))


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, bytes]]:
    """What the server that stands for the store has, by path; it ignores ranges."""
    files: dict[str, bytes] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path not in files:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(files[self.path])))
            self.end_headers()
            with contextlib.suppress(ConnectionError):
                self.wfile.write(files[self.path])

        def log_message(self, *_: object) -> None:
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("STEADYPOSE_MODEL_STORE", f"http://127.0.0.1:{httpd.server_port}/mirror/")
    yield files
    httpd.shutdown()
    httpd.server_close()
    thread.join()


@pytest.fixture
def publish(store: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> Callable[..., PublishedModel]:
    """Function (content, **changes) that puts a checkpoint into the store and its row into the catalogue."""

    def run(content: bytes = CHECKPOINT, **changes: object) -> PublishedModel:
        digest = hashlib.sha256(content).hexdigest()
        fields = {
            "name": NAME,
            "path": f"top_down/test-{digest[:8]}_20200101.pth",
            "sha256_prefix": digest[:8],
            "input_size": (64, 64),
        }
        entry = CATALOGUE["hrnet-w32-coco-256x192"].model_copy(update=fields | changes)
        monkeypatch.setitem(CATALOGUE, entry.name, entry)
        store[f"/mirror/{entry.path}"] = content
        return entry

    return run


@pytest.fixture
def converter(monkeypatch: pytest.MonkeyPatch, write_marker_model: Callable[..., Path]) -> list[list[str]]:
    """A converter that writes a marker model at once; the commands it was called with."""
    calls: list[list[str]] = []

    def run(command: list[str], _switch: object) -> tuple[int, str]:
        calls.append(command)
        write_marker_model(Path(command[4]), "top-down", accuracy={"ap": 0.746})
        return 0, ""

    monkeypatch.setattr(app.model_store, "run_converter", run)
    return calls


Publish = Callable[..., PublishedModel]
Converter = list[list[str]]


def test_a_published_model_is_downloaded_listed_and_removed(
    invoke: Invoke, publish: Publish, converter: Converter
):
    publish()
    done = invoke("models", "download", NAME)
    assert (done.exit_code, done.stdout.split(",")[0]) == (
        0,
        f"{NAME} is at hand: {downloaded_dir() / NAME}.onnx",
    )
    assert "100%" in done.stderr and "converting and comparing with torch" in done.stderr
    assert list(checkpoints_dir().iterdir()) == []
    listed = {model["name"]: model for model in json.loads(invoke("models", "list", "--json").stdout)}
    assert listed[NAME]["state"] == "downloaded" and listed["steadypose-td-w16"]["state"] == "bundled"
    assert listed["hrnet-w48-coco-256x192"]["state"] == "available"
    removed = invoke("models", "remove", NAME)
    assert removed.exit_code == 0 and removed.stdout.startswith(f"{NAME} is removed, ")
    assert list(downloaded_dir().iterdir()) == []


def test_a_model_that_is_at_hand_is_not_fetched_again(
    invoke: Invoke, publish: Publish, converter: Converter, store: dict[str, bytes]
):
    publish()
    invoke("models", "download", NAME)
    store.clear()
    assert invoke("models", "download", NAME).stdout.startswith(f"{NAME} is at hand already")
    assert len(converter) == 1


def test_a_damaged_model_is_made_again(invoke: Invoke, publish: Publish, converter: Converter):
    publish()
    invoke("models", "download", NAME)
    path = downloaded_dir() / f"{NAME}.onnx"
    path.write_bytes(b"cut")
    listed = invoke("models", "list")
    assert listed.exit_code == 0 and f"warning: {path} is not an ONNX model" in listed.stderr
    assert [line.split()[3] for line in listed.stdout.splitlines() if NAME in line] == ["available"]
    assert invoke("models", "download", NAME).exit_code == 0
    assert read_spec(path)


def test_the_checkpoint_stays_where_it_is_asked_to(invoke: Invoke, publish: Publish, converter: Converter):
    entry = publish()
    invoke("models", "download", NAME, "--keep-checkpoint", "--quiet")
    assert (checkpoints_dir() / entry.file_name).read_bytes() == CHECKPOINT


def test_quiet_says_only_the_result(invoke: Invoke, publish: Publish, converter: Converter):
    publish()
    assert invoke("models", "download", NAME, "--quiet").stderr == ""


def test_a_tampered_file_is_refused(
    invoke: Invoke, publish: Publish, converter: Converter, store: dict[str, bytes]
):
    entry = publish()
    store[f"/mirror/{entry.path}"] = CHECKPOINT[:-1] + b"!"
    done = invoke("models", "download", NAME)
    assert done.exit_code == 1
    assert f"error: {NAME}: what came from http://127" in done.stderr and "it was removed" in done.stderr
    assert f"models download {NAME} --from FILE" in done.stderr
    assert list(checkpoints_dir().iterdir()) == [] and converter == []


def test_one_failure_does_not_stop_the_others(
    invoke: Invoke, publish: Publish, converter: Converter, store: dict[str, bytes]
):
    publish(b"gone", name="gone")
    store.clear()
    publish()
    done = invoke("models", "download", "gone", NAME)
    assert done.exit_code == 1 and "error: gone: " in done.stderr and "404 Not Found" in done.stderr
    assert f"{NAME} is at hand" in done.stdout


def test_an_unreachable_store_tells_the_other_way(
    invoke: Invoke, publish: Publish, monkeypatch: pytest.MonkeyPatch
):
    entry = publish()
    monkeypatch.setenv("STEADYPOSE_MODEL_STORE", "http://127.0.0.1:1/")
    done = invoke("models", "download", NAME)
    assert done.exit_code == 1 and "the host cannot be reached" in done.stderr
    assert f"or fetch https://download.openmmlab.com/mmpose/{entry.path} by other means" in done.stderr


def test_a_file_at_hand_is_taken_and_left_alone(
    invoke: Invoke, publish: Publish, converter: Converter, store: dict[str, bytes], tmp_path: Path
):
    publish()
    store.clear()
    mine = tmp_path / "mine.pth"
    mine.write_bytes(CHECKPOINT)
    assert invoke("models", "download", NAME, "--from", mine).exit_code == 0
    assert mine.exists() and converter[0][3] == str(mine)


def test_a_file_at_hand_that_is_another_one_is_refused(invoke: Invoke, publish: Publish, tmp_path: Path):
    publish()
    mine = tmp_path / "mine.pth"
    mine.write_bytes(b"other")
    done = invoke("models", "download", NAME, "--from", mine)
    assert done.exit_code == 1 and "is not the published file" in done.stderr
    assert f"python -m train convert FILE OUT.onnx --like {NAME}" in done.stderr
    missing = invoke("models", "download", NAME, "--from", tmp_path / "none.pth")
    assert missing.exit_code == 1 and "does not exist" in missing.stderr


def test_what_is_published_without_a_hash_needs_a_file(invoke: Invoke, converter: Converter, tmp_path: Path):
    name = "hourglass-2-mpii-256x256-princeton"
    done = invoke("models", "download", name)
    assert done.exit_code == 1 and f"models download {name} --from FILE" in done.stderr
    (tmp_path / "2hg.pth.tar").write_bytes(b"x")
    assert invoke("models", "download", name, "--from", tmp_path / "2hg.pth.tar").exit_code == 0


def test_without_torch_the_checkpoint_is_kept_for_the_next_call(
    invoke: Invoke,
    publish: Publish,
    converter: Converter,
    store: dict[str, bytes],
    monkeypatch: pytest.MonkeyPatch,
):
    entry = publish()
    with monkeypatch.context() as without:
        without.setattr(app.model_store, "find_spec", lambda name: None if name == "torch" else object())
        done = invoke("models", "download", NAME)
    assert done.exit_code == 1 and converter == []
    assert "converting it needs torch; run pip install '.[train]' in a clone" in done.stderr
    assert (checkpoints_dir() / entry.file_name).exists()
    store.clear()
    assert invoke("models", "download", NAME).exit_code == 0


def test_a_conversion_that_fails_tells_why(invoke: Invoke, publish: Publish):
    entry = publish(b"no checkpoint at all")
    done = invoke("models", "download", NAME)
    assert done.exit_code == 1 and "could not be converted: " in done.stderr
    assert f"{entry.file_name} cannot be read as a checkpoint" in done.stderr
    assert list(downloaded_dir().iterdir()) == []


def test_ctrl_c_leaves_with_130_and_says_how_to_go_on(
    invoke: Invoke, publish: Publish, monkeypatch: pytest.MonkeyPatch
):
    publish()

    def stop(*_: object, **__: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(app.model_store, "download", stop)
    done = invoke("models", "download", NAME)
    assert done.exit_code == 130 and f"`steadypose models download {NAME}` goes on" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("download", "hrnet-w32-coco-256x19"), "did you mean hrnet-w32-coco-256x192"),
        (("download", "default-top-down"), "bundled with the program; there is nothing to download"),
        (
            ("download", "hrnet-w32-coco-256x192", "hrnet-w48-coco-256x192", "--from", "x.pth"),
            "name one model",
        ),
        (("remove", "steadypose-td-w16"), "cannot be removed"),
        (("remove", "hrnet-w32-coco-256x192"), "no model called 'hrnet-w32-coco-256x192' was downloaded"),
        (("info", "hrnet-w32-coco"), "no model called 'hrnet-w32-coco'; did you mean 'hrnet-w"),
    ],
)
def test_wrong_names_leave_with_2(invoke: Invoke, arguments: tuple[str, ...], says: str):
    done = invoke("models", *arguments)
    assert (done.exit_code, done.stdout) == (2, "") and says in done.stderr


def test_an_available_model_shows_what_is_published(invoke: Invoke):
    text = invoke("models", "info", "hrnet-w32-coco-256x192").stdout
    for words in (
        "ap 0.746",
        "COCO val2017",
        "CC BY 4.0",
        "c78dce93",
        "Sun et al. 2019",
        "steadypose models download hrnet-w32",
    ):
        assert words in text
    told = json.loads(invoke("models", "info", "hrnet-w32-coco-256x192", "--json").stdout)
    assert told["state"] == "available" and told["url"].startswith("https://download.openmmlab.com/mmpose/")


def test_a_downloaded_model_shows_its_file_and_where_it_came_from(
    invoke: Invoke, publish: Publish, converter: Converter
):
    entry = publish()
    invoke("models", "download", NAME)
    told = json.loads(invoke("models", "info", NAME, "--json").stdout)
    assert told["state"] == "downloaded" and told["url"] == entry.url() and "fp32" in told["files"]


def test_tracking_by_the_name_of_a_model_that_is_not_there_says_how_to_get_it(
    invoke: Invoke, clip: Path, bottom_up_file: Path, tmp_path: Path
):
    name = "hrnet-w32-coco-256x192"
    named = ("--top-down-model", name, "--bottom-up-model", bottom_up_file)
    done = invoke("track", clip, "--out", tmp_path / "out", *named)
    assert done.exit_code == 2 and f"run `steadypose models download {name}`" in done.stderr


@pytest.fixture
def second_of_people(tmp_path: Path) -> Path:
    """The first second of the demo clip, every other frame."""
    path = tmp_path / "second.mp4"
    with av.open(str(path), "w") as container, open_source(demo_clip()) as source:
        stream = container.add_stream("libx264", rate=15, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 1280, 720, "yuv420p"
        for frame in itertools.islice(source, 0, 30, 2):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame.image, format="bgr24")))
        container.mux(stream.encode())
    return path


@pytest.mark.slow
def test_a_network_goes_all_the_way_from_the_store_into_a_track(
    invoke: Invoke, publish: Publish, second_of_people: Path, tmp_path: Path
):
    torch = pytest.importorskip("torch")
    from train.models import build_model

    torch.manual_seed(0)
    weights = {
        ("keypoint_head." if key.startswith("final_layer") else "backbone.") + key: value
        for key, value in build_model("hrnet_w16").state_dict().items()
    }
    file = tmp_path / "mmpose.pth"
    torch.save({"meta": {"epoch": 210}, "state_dict": weights}, file)
    publish(file.read_bytes(), architecture="hrnet_w16")

    done = invoke("models", "download", NAME)
    assert done.exit_code == 0, done.stderr
    spec = read_spec(downloaded_dir() / f"{NAME}.onnx")
    assert spec.checkpoint_sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert (spec.convention, spec.decoder, spec.accuracy["ap"]) == ("hrnet", "quarter", 0.746)

    finder = assets_models_dir() / "steadypose-bu-w16.onnx"
    named = ("--mode", "top-down", "--top-down-model", NAME, "--bottom-up-model", finder)
    fixed = ("--precision", "fp32", "--threads", 1)
    tracked = invoke("track", second_of_people, "--out", tmp_path / "out", *named, *fixed)
    assert tracked.exit_code == 0, tracked.stderr
    sidecar = (tmp_path / "out" / "second.json").read_text(encoding="utf-8")
    assert NAME in sidecar and file_sha256(downloaded_dir() / f"{NAME}.onnx") in sidecar
    assert invoke("models", "remove", NAME).exit_code == 0
    again = invoke("track", second_of_people, "--out", tmp_path / "again", *named)
    assert again.exit_code == 2 and f"run `steadypose models download {NAME}`" in again.stderr


def test_a_terminal_shows_a_bar_and_cleans_up_after_itself():
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=80)
    with app.models.DownloadProgress("net", console, quiet=False) as progress:
        progress.update(0, None)
        progress.update(500_000, 1_000_000)
    assert "net" in stream.getvalue() and "MB" in stream.getvalue()
    silent = io.StringIO()
    with app.models.DownloadProgress(
        "net", Console(file=silent, force_terminal=True), quiet=True
    ) as progress:
        progress.update(1, 1)
    assert silent.getvalue() == ""
