from pathlib import Path

import pytest

from fusionseg.config.errors import UsageError
from fusionseg.studies.folder import StudyFolder


def test_what_is_written_is_read(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path / "out")
    folder.declare({"name": "a", "seeds": [0, 1]})
    folder.write_record("12ab", {"status": "finished"})
    again = StudyFolder(tmp_path / "out")
    assert again.names() == ["a"]
    assert again.declared()["seeds"] == [0, 1]
    assert again.record("12ab")["status"] == "finished"
    assert again.record("none") == {}


def test_of_several_studies_one_is_named(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path)
    with pytest.raises(UsageError, match="expected a folder of a study, or run folders, found neither"):
        folder.declared()
    for name in ("a", "b"):
        folder.declare({"name": name})
    with pytest.raises(UsageError, match="holds 2 studies: choose one of a, b with --name"):
        folder.declared()
    with pytest.raises(UsageError, match="no study 'c'; there is a, b"):
        folder.declared("c")
    assert folder.declared("b")["name"] == "b"


def test_a_declaration_that_cannot_be_read_is_an_error_and_a_record_is_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = StudyFolder(tmp_path)
    folder.declare({"name": "a"})
    folder.declaration("a").write_text('{"version": 1, "na')
    with pytest.raises(UsageError, match=r"a\.json: expected JSON, found a damaged file .*: remove it"):
        folder.declared()
    folder.write_record("12ab", {"status": "finished"})
    (tmp_path / "runs" / "12ab.json").write_text("")
    assert folder.record("12ab") == {}
    assert "the run folder decides" in capsys.readouterr().err


def test_a_folder_whose_file_system_has_no_locks_is_driven_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*_: object) -> None:
        raise OSError("no locks")

    monkeypatch.setattr("fcntl.flock", refused)
    with StudyFolder(tmp_path).held():
        assert "this file system has no locks" in capsys.readouterr().err


def test_the_second_driver_learns_who_holds_the_folder(tmp_path: Path) -> None:
    with (
        StudyFolder(tmp_path).held(),
        pytest.raises(UsageError, match=r"is held by process \d+ on .+: wait for it, stop it, or choose"),
    ):
        StudyFolder(tmp_path).held().__enter__()
    with StudyFolder(tmp_path).held():
        pass
