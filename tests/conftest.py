"""A small world in which the whole engine can be tested: people made of coloured dots, and networks of a few
convolutions that see exactly these dots. Each colour is one keypoint."""

import contextlib
import gc
import http.server
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from engine.model_file import HeatmapOutput, ModelSpec, TagOutput, write_spec
from engine.skeleton import Skeleton

MARKERS = Skeleton(
    name="markers6",
    keypoints=("head", "left_hand", "right_hand", "left_foot", "right_foot", "belly"),
    limbs=((0, 5), (1, 5), (2, 5), (3, 5), (4, 5)),
    flip_pairs=(),
    oks_sigmas=(0.1,) * 6,
)
COLOURS_RGB = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [1, 0, 1], [0, 1, 1]], np.float32)
SHAPE = np.array([[0.5, 0.0], [0.0, 0.35], [1.0, 0.35], [0.15, 1.0], [0.85, 1.0], [0.5, 0.5]], np.float32)
BACKGROUND = 24


def pytest_collection_finish() -> None:
    """Keep the collector from looking at all modules again and again: closing a video calls it each time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _private_cache(tmp_path_factory: pytest.TempPathFactory):
    """Keep compiled models of tests out of the user's cache."""
    before = os.environ.get("XDG_CACHE_HOME")
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))
    yield
    if before is None:
        del os.environ["XDG_CACHE_HOME"]
    else:
        os.environ["XDG_CACHE_HOME"] = before


def place_person(x: float, y: float, height: float) -> np.ndarray:
    """(6, 2) keypoints of a marker person whose box starts at (x, y)."""
    return SHAPE * np.array([height * 0.5, height], np.float32) + np.array([x, y], np.float32)


def draw_people(size: tuple[int, int], people: list[np.ndarray], radius: float = 7.0) -> np.ndarray:
    """(H, W, 3) uint8 BGR picture of marker people on a dark ground."""
    image = np.full((*size, 3), BACKGROUND, np.uint8)
    for keypoints in people:
        for (x, y), colour in zip(keypoints, COLOURS_RGB):
            bgr = tuple(float(255 * value) for value in colour[::-1])
            centre = (round(float(x) * 16), round(float(y) * 16))
            cv2.circle(image, centre, round(radius * 16), bgr, -1, cv2.LINE_AA, 4)
    return image


def _colour_weights() -> tuple[np.ndarray, np.ndarray]:
    weights, bias = np.where(COLOURS_RGB > 0, 1.0, -1.0), np.zeros(6)
    bias[3:] = -1.0
    return weights.reshape(6, 3, 1, 1).astype(np.float32), bias.astype(np.float32)


def _blur_weights(width: float = 1.0) -> np.ndarray:
    axis = np.exp(-(np.arange(-3, 4) ** 2) / (2 * width**2))
    kernel = np.outer(axis, axis) / axis.sum() ** 2
    return np.broadcast_to(kernel, (6, 1, 7, 7)).astype(np.float32).copy()


def build_marker_network(
    *, bottom_up: bool, gain: float = 2.5, tag_step: float = 0.05, input_shape: list[object] | None = None
) -> onnx.ModelProto:
    """An ONNX graph that makes each colour a blob in its heatmap; tags are the column times `tag_step`."""
    weights, bias = _colour_weights()
    constants = {
        "colour_w": weights,
        "colour_b": bias,
        "blur_w": _blur_weights(),
        "gain": np.array(gain, np.float32),
        "tag_step": np.array(tag_step, np.float32),
        "axis": np.array(3, np.int64),
    }
    nodes = [
        helper.make_node("Conv", ["image", "colour_w", "colour_b"], ["colours"], kernel_shape=[1, 1]),
        helper.make_node("Relu", ["colours"], ["bright"]),
    ]

    def head(name: str, stride: int) -> None:
        nodes.extend(
            [
                helper.make_node(
                    "AveragePool", ["bright"], [f"{name}_pooled"],
                    kernel_shape=[stride] * 2, strides=[stride] * 2,
                ),
                helper.make_node(
                    "Conv", [f"{name}_pooled", "blur_w"], [f"{name}_blurred"],
                    kernel_shape=[7, 7], pads=[3] * 4, group=6,
                ),
                helper.make_node("Mul", [f"{name}_blurred", "gain"], [f"{name}_gained"]),
                helper.make_node("Tanh", [f"{name}_gained"], [name]),
            ]
        )  # fmt: skip

    names = ["heatmaps_0", "heatmaps_1", "tags_0"] if bottom_up else ["heatmaps"]
    head(names[0], 4)
    if bottom_up:
        head(names[1], 2)
        nodes += [
            helper.make_node("Sub", ["heatmaps_0", "heatmaps_0"], ["zeros"]),
            helper.make_node("Exp", ["zeros"], ["ones"]),
            helper.make_node("CumSum", ["ones", "axis"], ["columns"]),
            helper.make_node("Mul", ["columns", "tag_step"], ["tags_0"]),
        ]
    else:
        del constants["tag_step"], constants["axis"]
    shape = input_shape or ["n", 3, "h", "w"]
    graph = helper.make_graph(
        nodes,
        "markers",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 6, None, None]) for name in names],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def marker_spec(kind: str, **changes: object) -> ModelSpec:
    """The spec of a marker network; `changes` replace its fields."""
    bottom_up = kind == "bottom-up"
    values: dict[str, object] = {
        "name": "markers-bu" if bottom_up else "markers-td",
        "architecture": "markers",
        "kind": kind,
        "input_size": (192, 192) if bottom_up else (128, 96),
        "dynamic_size": bottom_up,
        "mean": (0.0, 0.0, 0.0),
        "std": (1.0, 1.0, 1.0),
        "heatmap_outputs": (
            HeatmapOutput(name="heatmaps_0", stride=4),
            HeatmapOutput(name="heatmaps_1", stride=2),
        )
        if bottom_up
        else (HeatmapOutput(name="heatmaps", stride=4),),
        "tag_outputs": (TagOutput(name="tags_0", stride=4),) if bottom_up else (),
        "decoder": "dark",
        "skeleton": MARKERS,
        "licence": "Apache-2.0",
        "training_data": "none",
        "checkpoint_sha256": "0" * 64,
    }
    return ModelSpec.model_validate(values | changes)


@pytest.fixture(scope="session")
def write_marker_model() -> Callable[..., Path]:
    """Function (path, kind, gain=…, input_shape=…, **spec changes) that writes a marker model."""

    def write(
        path: Path,
        kind: str,
        *,
        gain: float = 2.5,
        input_shape: list[object] | None = None,
        **changes: object,
    ) -> Path:
        network = build_marker_network(bottom_up=kind == "bottom-up", gain=gain, input_shape=input_shape)
        write_spec(network, marker_spec(kind, **changes))
        onnx.save(network, str(path))
        return path

    return write


@pytest.fixture(scope="session")
def top_down_file(tmp_path_factory: pytest.TempPathFactory, write_marker_model: Callable[..., Path]) -> Path:
    """A top-down marker model, 128 × 96, fixed size."""
    return write_marker_model(tmp_path_factory.mktemp("models") / "markers-td.onnx", "top-down")


@pytest.fixture(scope="session")
def bottom_up_file(tmp_path_factory: pytest.TempPathFactory, write_marker_model: Callable[..., Path]) -> Path:
    """A bottom-up marker model, 192 × 192, dynamic size, with tags."""
    return write_marker_model(tmp_path_factory.mktemp("models") / "markers-bu.onnx", "bottom-up")


@pytest.fixture(scope="session")
def marker_person() -> Callable[[float, float, float], np.ndarray]:
    """Function (x, y, height) that places a marker person."""
    return place_person


@pytest.fixture(scope="session")
def marker_image() -> Callable[..., np.ndarray]:
    """Function (size, people) that paints marker people."""
    return draw_people


@pytest.fixture(scope="session")
def walking_pair() -> Callable[[int], list[np.ndarray]]:
    """Function from a frame's number to the keypoints of two marker people, one walking 4 px a frame."""

    def people(index: int) -> list[np.ndarray]:
        return [place_person(60 + 4 * index, 80, 180), place_person(440, 120, 200)]

    return people


@pytest.fixture(scope="session")
def marker_folder(
    tmp_path_factory: pytest.TempPathFactory, walking_pair: Callable[[int], list[np.ndarray]]
) -> Path:
    """A folder of 24 pictures, 640 × 360, of the walking pair."""
    folder = tmp_path_factory.mktemp("markers") / "frames"
    folder.mkdir()
    for index in range(24):
        cv2.imwrite(str(folder / f"{index:04d}.png"), draw_people((360, 640), walking_pair(index)))
    return folder


class MjpegServer:
    """A camera on the loopback network that sends JPEG pictures over HTTP, and can be pulled away.

    address: where it is, also after it was started anew. size: (height, width) of the pictures, may be
    changed. silent: whether it says nothing while its connections stay open. pause_s: between two pictures.
    connections: made so far.
    """

    def __init__(self) -> None:
        self.size = (96, 128)
        self.silent = False
        self.pause_s = 0.02
        self.connections = 0
        self._port = 0
        self._ended = threading.Event()
        self._server: http.server.ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None
        self.start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._port}/video"

    def start(self) -> None:
        owner = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                owner.serve(self)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._ended.clear()
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", self._port), Handler)
        self._server.daemon_threads = False
        self._port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), name="mjpeg server")
        self._thread.start()

    def stop(self) -> None:
        """End all connections and answer no more, as when the cable is pulled."""
        if self._server is not None and self._thread is not None:
            self._ended.set()
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()
            self._server = None

    def serve(self, handler: http.server.BaseHTTPRequestHandler) -> None:
        self.connections += 1
        if handler.path != "/video":
            handler.send_error(404)
            return
        handler.send_response(200)
        handler.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        handler.end_headers()
        count = 0
        # The other end is free to leave at any time.
        with contextlib.suppress(OSError):
            while not self._ended.wait(self.pause_s):
                if not self.silent:
                    handler.wfile.write(self._part(count))
                    count += 1

    def _part(self, count: int) -> bytes:
        image = draw_people(self.size, [place_person(10 + count % 40, 10, self.size[0] * 0.7)], radius=4)
        data = cv2.imencode(".jpg", image)[1].tobytes()
        head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
        return head.encode() + data + b"\r\n"


@pytest.fixture
def mjpeg_server() -> Iterator[MjpegServer]:
    """A loopback MJPEG-over-HTTP camera with `address`, `stop()`, `start()`, `size`, `silent`."""
    server = MjpegServer()
    yield server
    server.stop()
