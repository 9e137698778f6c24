"""Every example of Python in the documentation runs as it stands, on a few frames of the demo clip."""

import itertools
import re
from collections.abc import Callable
from pathlib import Path

import av
import pytest

from assets import demo_clip

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "docs/api.md")
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FRAMES = 30
Run = Callable[[str], str]


def examples(page: str) -> list[str]:
    return BLOCK.findall((ROOT / page).read_text("utf-8"))


EXAMPLES = [
    pytest.param(
        code, id=f"{page}-{number}", marks=[] if (page, number) == ("README.md", 1) else [pytest.mark.slow]
    )
    for page in PAGES
    for number, code in enumerate(examples(page), 1)
]


@pytest.fixture(scope="module")
def short_clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The first frames of the demo clip."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    with av.open(str(demo_clip())) as demo, av.open(str(path), "w") as container:
        shown = demo.streams.video[0]
        stream = container.add_stream("libx264", rate=30, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = shown.width, shown.height, "yuv420p"
        for frame in itertools.islice(demo.decode(shown), FRAMES):
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path.read_bytes()


@pytest.fixture
def run(
    short_clip: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """Function that runs code in a folder with clip.mp4 and returns what it printed."""
    (tmp_path / "clip.mp4").write_bytes(short_clip)
    monkeypatch.chdir(tmp_path)

    def execute(code: str) -> str:
        exec(compile(code, "example", "exec"), {"__name__": "__main__"})
        return capsys.readouterr().out

    return execute


def test_the_pages_have_examples() -> None:
    assert [len(examples(page)) > 0 for page in PAGES] == [True, True]
    assert len(examples("docs/api.md")) >= 7


@pytest.mark.parametrize("code", EXAMPLES)
def test_an_example_runs_as_it_stands(run: Run, code: str, tmp_path: Path) -> None:
    printed = run(code)
    assert printed or "print(" not in code
    if "CsvSink" in code:
        assert (tmp_path / "mine.csv").read_text("utf-8").startswith("frame,time_s,track_id,")


@pytest.mark.slow
def test_what_a_comment_promises_is_printed(run: Run) -> None:
    promised = [
        (code, line.split("#")[1].strip())
        for code in examples("docs/api.md")
        for line in code.splitlines()
        if line.strip().startswith("print(") and "#" in line
    ]
    assert promised
    for code, words in promised:
        assert run(code).strip() == words
