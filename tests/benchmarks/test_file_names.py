import pytest

from benchmarks import file_names


def test_file_names_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["file_names", "--number", "400", "--kinds", "zip", "tar", "folder"])
    file_names.main()
    out = capsys.readouterr().out
    assert [line.split(":")[0] for line in out.splitlines()] == ["zip", "tar", "folder"]
    assert out.count("400 names: ") == 3
