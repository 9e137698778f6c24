from pathlib import Path

import pytest

from engine.errors import UsageError
from train.config_file import load_settings

CONFIG = Path(__file__).parents[2] / "train" / "configs" / "steadypose-td-w16.yaml"


def test_overrides_reach_nested_settings() -> None:
    settings = load_settings(CONFIG, ("stages.0.batch=7", "augment.cut=0.5", "threads=2"))
    assert settings.stages[0].batch == 7
    assert settings.augment.cut == 0.5
    assert settings.threads == 2


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("learning_rat=1", "learning_rat is no setting; did you mean learning_rate"),
        ("augment.half_bdy=1", "did you mean half_body"),
        ("data.0.imges=x", "did you mean images"),
        ("kind=top-dwn", "kind: Input should be"),
        ("stages.0.epochs=3", "stages.0: a stage needs either steps or epochs"),
        ("learning_rate=-1", "learning_rate"),
        ("threads", "--set takes key=value"),
        ("stages.9.batch=1", "does not lead to a setting"),
    ],
)
def test_a_wrong_override_is_refused_by_name(override: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_settings(CONFIG, (override,))


def test_a_missing_config_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.yaml does not exist"):
        load_settings(tmp_path / "none.yaml")
