import errno
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from app import folder_lock
from app.folder_lock import LOCK_NAME, only_batch_in
from engine.errors import UsageError

ROOT = Path(__file__).parents[2]
HOLD = """
import sys
from pathlib import Path
from app.folder_lock import only_batch_in
with only_batch_in(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def hold(folder: Path) -> subprocess.Popen[str]:
    """A process that has the folder until its input ends."""
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", HOLD, str(folder)]
    process = subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True)
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


def test_a_second_batch_is_kept_out_until_the_first_has_ended(tmp_path: Path):
    with only_batch_in(tmp_path):
        with (
            pytest.raises(UsageError, match=f"another batch .* {tmp_path}; wait .* --out"),
            only_batch_in(tmp_path),
        ):
            pass
        assert (tmp_path / LOCK_NAME).exists(), "who was refused must not take the file away"
    with only_batch_in(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_a_killed_batch_left_behind_blocks_nobody(tmp_path: Path):
    process = hold(tmp_path)
    with pytest.raises(UsageError, match="another batch"), only_batch_in(tmp_path):
        pass
    process.kill()
    process.communicate()
    assert (tmp_path / LOCK_NAME).exists()
    with only_batch_in(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="an open file cannot be deleted there")
def test_a_lock_on_a_file_that_was_deleted_meanwhile_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    real, first = folder_lock._lock, [True]

    def lock(handle: int) -> bool:
        if first.pop() if first else False:
            (tmp_path / LOCK_NAME).unlink()
        return real(handle)

    monkeypatch.setattr(folder_lock, "_lock", lock)
    with only_batch_in(tmp_path), pytest.raises(UsageError), only_batch_in(tmp_path):
        pass


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_folder_without_locks_is_told_and_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, code: int
):
    def lock(handle: int) -> bool:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(folder_lock, "_lock", lock)
    with caplog.at_level(logging.WARNING), only_batch_in(tmp_path):
        pass
    assert f"{tmp_path} cannot be locked ({os.strerror(code)})" in caplog.text


def test_track_does_not_begin_in_a_folder_that_another_batch_writes_to(
    track: Callable[..., Result], clip: Path, tmp_path: Path
):
    out = tmp_path / "out"
    out.mkdir()
    part = out / ".clip.12.part.csv"
    part.write_text("of the other batch")
    with only_batch_in(out):
        result = track(clip, "--resume")
    assert result.exit_code == 2 and f"another batch is writing into the output folder {out}" in result.stderr
    assert [path.name for path in out.iterdir()] == [part.name]
