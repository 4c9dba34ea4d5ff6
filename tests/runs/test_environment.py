import subprocess
from pathlib import Path

import pytest

from fusionseg.runs import environment


def test_a_checkout_that_does_not_track_the_code_is_not_its_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = tmp_path / "project" / ".venv"
    inside.mkdir(parents=True)
    (inside / "environment.py").touch()
    monkeypatch.setattr(environment, "__file__", str(inside / "environment.py"))

    def git(*words: str) -> None:
        person = ("-c", "user.name=a", "-c", "user.email=a@b")
        subprocess.run(["git", "-C", str(inside.parent), *person, *words], check=True, capture_output=True)

    git("init")
    git("commit", "--allow-empty", "--message", "first")
    assert environment._commit() == {"commit": None, "dirty": None}
    git("add", ".")
    git("commit", "--message", "second")
    told = environment._commit()
    assert told["commit"]
    assert told["dirty"] is False
