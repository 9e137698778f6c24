import numpy as np
import pytest

from app.bench import memory
from app.bench.memory import resident_mib


def test_memory_that_is_used_is_seen():
    before = resident_mib()
    block = np.ones(40 * 2**20, np.uint8)
    assert 30 < resident_mib() - before < 60
    del block


def test_without_proc_the_other_ways_tell_about_the_same(monkeypatch: pytest.MonkeyPatch, tmp_path):
    here = resident_mib()
    monkeypatch.setattr(memory, "STATM", tmp_path / "absent")
    assert resident_mib() == pytest.approx(here, rel=0.2)
    monkeypatch.setattr(memory, "find_spec", lambda name: None)
    assert resident_mib() >= 0.8 * here
