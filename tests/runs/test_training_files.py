from pathlib import Path

import pytest

from fusionseg.data.base import DataError
from fusionseg.data.synthetic import SyntheticScenes
from fusionseg.runs.folder import RunFolder
from fusionseg.runs.training_files import CHUNK, digest, namesakes, of_model, read, write


def file(folder: Path, content: bytes) -> Path:
    path = folder / "image"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("size", [1, CHUNK, 3 * CHUNK])
def test_every_byte_of_a_small_file_counts(size: int, tmp_path: Path) -> None:
    found = digest(file(tmp_path, bytes(size)))
    assert digest(file(tmp_path, bytes(size))) == found
    for place in {0, size // 3, size // 2, 2 * size // 3, size - 1}:
        changed = bytearray(size)
        changed[place] = 1
        assert digest(file(tmp_path, bytes(changed))) != found
    assert digest(file(tmp_path, bytes(size + 1))) != found


def test_of_a_large_file_the_ends_the_middle_and_the_size_count(tmp_path: Path) -> None:
    size = 10 * CHUNK
    found = digest(file(tmp_path, bytes(size)))
    for place, counts in ((0, True), (size // 2, True), (size - 1, True), (2 * CHUNK, False)):
        changed = bytearray(size)
        changed[place] = 1
        assert (digest(file(tmp_path, bytes(changed))) != found) == counts
    assert digest(file(tmp_path, bytes(size + 1))) != found


def test_the_list_is_read_as_it_was_written(tmp_path: Path) -> None:
    known = {"0a": "a name with spaces", "0b": "b"}
    write(tmp_path / "list", known)
    assert read(tmp_path / "list") == known
    assert read(tmp_path / "none") == {}


def test_what_a_model_was_trained_on_is_known_in_its_run_folder_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunFolder(tmp_path / "run")
    run.checkpoints.mkdir(parents=True)
    run.best.touch()
    write(run.training_files, {"0a": "a"})
    (run.path / "other.ckpt").touch()
    (tmp_path / "other.ckpt").touch()
    assert of_model(run.path) == of_model(run.best) == {"0a": "a"}
    monkeypatch.chdir(run.checkpoints)
    assert of_model(Path("best.ckpt")) == {"0a": "a"}
    assert of_model(run.path / "other.ckpt") == of_model(tmp_path / "other.ckpt") == of_model(tmp_path) == {}


@pytest.mark.parametrize("content", [b"0a\n", b"\xff\xfe 0"])
def test_a_list_of_something_else_is_refused(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a digest and a name in each line of .*/image: "):
        read(file(tmp_path, content))


def test_names_of_training_images_with_other_content_are_said(tmp_path: Path) -> None:
    scenes = SyntheticScenes("val", 3)
    assert namesakes(tmp_path / "none", scenes) == ""
    write(tmp_path / "list", {"0a": scenes.name(1), "0b": "another"})
    line = namesakes(tmp_path / "list", scenes)
    assert line.startswith(
        f"1 of 3 images have names of training images, with other content ({scenes.name(1)})"
    )
