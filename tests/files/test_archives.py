import multiprocessing
import pickle
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unicodedata import normalize

import numpy as np
import pytest

from fusionseg.config.errors import UserError
from fusionseg.files.archive_path import ArchivePath, fingerprint, on_disk
from fusionseg.files.archives import tree
from fusionseg.files.folders import files_below
from fusionseg.files.readable_path import ReadablePath

KINDS = ("files.zip", "stored.zip", "files.tar", "files.tar.gz", "files.tgz")
Packed = Callable[..., Path]


@pytest.fixture
def top(tmp_path: Path) -> Path:
    """Files of many sizes, some of which compress well, with names that differ in case, and an empty folder."""
    random = np.random.default_rng(0)
    names = [
        "a/a.txt",
        "a/A.TXT",
        "a/two words.png",
        normalize("NFC", "a/Ü.png"),
        "b/c/d/e.tar.gz",
        "b/empty",
        "z",
    ]
    for number, name in enumerate(names):
        path = tmp_path / "unpacked" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        size = 0 if path.name == "empty" else 40 * 5**number
        path.write_bytes(
            random.integers(0, 256 if number % 2 else 4, size // 4 + 1, np.uint8).tobytes() * (size > 0)
        )
    (tmp_path / "unpacked" / "nothing").mkdir()
    return tmp_path / "unpacked"


@pytest.fixture(params=[*KINDS, "mixed", "nested", "nested stored"])
def archived(request: pytest.FixtureRequest, top: Path, packed: Packed, tmp_path: Path) -> ReadablePath:
    """The same files in an archive, some of them on disk, or in an archive inside of an archive."""
    kind: str = request.param
    root = tmp_path / "download"
    if kind == "mixed":
        shutil.copytree(top / "a", root / "a")
        (root / "a/A.TXT").unlink()
        packed(top, root / "first.zip", "a/A.TXT", "b/c", "nothing")
        packed(top, root / "second.tar", "b/empty", "z")
        return tree(root, ["first.zip", "second.tar", "third.zip"])
    if kind.startswith("nested"):
        outer = tmp_path / "outer"
        shutil.copytree(top, outer)
        shutil.rmtree(outer / "b" / "c")
        packed(top / "b", outer / "b" / "inner.zip", "c")
        packed(outer, root / "outer.zip", deflate=kind == "nested")
        (outer / "b" / "inner.zip").rename(top / "b" / "inner.zip")
        return tree(root, ["outer.zip", "b/inner.zip"])
    packed(top, root / kind, deflate=kind != "stored.zip")
    return tree(root, [kind])


def everything(folder: ReadablePath, top: ReadablePath) -> Iterator[tuple[str, bytes | None]]:
    """Everything below a folder: its path, and the content of a file."""
    for path in sorted(folder.iterdir()):
        assert path.exists()
        assert path.is_file() != path.is_dir()
        yield path.relative_to(top).as_posix(), path.read_bytes() if path.is_file() else None
        if path.is_dir():
            yield from everything(path, top)


def test_archives_hold_what_the_folder_holds(archived: ReadablePath, top: Path) -> None:
    shown = dict(everything(archived, archived))
    for name in [name for name in shown if "/" not in name and not (top / name).exists()]:
        del shown[name]  # the archives themselves, which are beside what is in them
    assert shown == dict(everything(top, top))
    found = [path.relative_to(archived).as_posix() for path in files_below(archived / "b")]
    assert found == [path.relative_to(top).as_posix() for path in files_below(top / "b")]


def test_paths_in_archives_answer_like_those_on_disk(archived: ReadablePath, top: Path) -> None:
    for name in ("a/a.txt", "a/two words.png", "b/c/d/e.tar.gz", "b/c", "b", "z", "b/no", "no", "z/no"):
        ours, theirs = archived / name, top / name
        for path in (ours, archived / name.split("/")[0] / "/".join(name.split("/")[1:])):
            assert (path.name, path.stem, path.suffix) == (theirs.name, theirs.stem, theirs.suffix)
            assert (path.exists(), path.is_file(), path.is_dir()) == (
                theirs.exists(),
                theirs.is_file(),
                theirs.is_dir(),
            )
            assert path.relative_to(archived) == theirs.relative_to(top)
            assert path.parts[-1] == theirs.name
            assert path.parent.name == (theirs.parent.name if "/" in name else "download")
            assert str(path).endswith(f"/{theirs.name}")
        if theirs.is_file():
            with ours.open("rb") as mine, theirs.open("rb") as other:
                assert mine.seek(-2, 2) == other.seek(-2, 2)
                assert mine.read() == other.read()
            assert ours.read_text("latin-1") == theirs.read_text("latin-1")


def test_a_folder_without_archives_is_the_folder_itself(top: Path) -> None:
    assert tree(top, ["files.zip", "a/inner.zip"]) == top
    assert type(tree(str(top))) is type(top)
    assert tree(top / "no") == top / "no"


def test_an_archive_that_is_unpacked_is_passed_over(top: Path, packed: Packed) -> None:
    packed(top, top / "files.zip")
    assert tree(top, ["files.zip"]) == top
    (top / "a" / "A.TXT").unlink()  # the first file
    assert (tree(top, ["files.zip"]) / "a" / "A.TXT").is_file()


@pytest.mark.parametrize("kind", ["files.zip", "files.tar"])
def test_a_file_at_the_top_of_an_archive_does_not_make_it_unpacked(
    kind: str, top: Path, packed: Packed, tmp_path: Path
) -> None:
    (top / "README").write_text("of the archive")
    packed(top, tmp_path / "download/sub" / kind, "README", "a")
    for folder in (tmp_path / "download", tmp_path / "download/sub"):
        (folder / "README").write_text("of another download")
    for root, name in ((tmp_path / "download", f"sub/{kind}"), (tmp_path / "download/sub", kind)):
        place = tree(root, [name]) / name.removesuffix(kind)
        assert (place / "a/a.txt").is_file()
        assert (place / "README").read_text() == "of another download"


def test_what_is_on_disk_comes_before_what_is_in_an_archive(
    top: Path, packed: Packed, tmp_path: Path
) -> None:
    packed(top, tmp_path / "root" / "files.zip")
    (tmp_path / "root" / "b" / "c").mkdir(parents=True)
    (tmp_path / "root" / "b" / "empty").write_text("mended")
    found = tree(tmp_path / "root", ["files.zip"])
    assert (found / "b" / "empty").read_text() == "mended"
    assert {path.name: path.is_dir() for path in (found / "b").iterdir()} == {"empty": False, "c": True}
    assert (found / "b" / "c" / "d" / "e.tar.gz").read_bytes() == (top / "b/c/d/e.tar.gz").read_bytes()


def test_the_root_may_be_an_archive_or_a_folder_in_it(top: Path, packed: Packed, tmp_path: Path) -> None:
    file = packed(top, tmp_path / "files.tar")
    assert dict(everything(tree(file), tree(file))) == dict(everything(top, top))
    inside = tree(file / "b" / "c")
    assert dict(everything(inside, inside)) == dict(everything(top / "b" / "c", top / "b" / "c"))
    assert str(inside / "d" / "e.tar.gz") == f"{file}/b/c/d/e.tar.gz"
    assert not tree(file / "no").exists()


def test_a_plain_tar_comes_before_the_compressed_one(top: Path, packed: Packed, tmp_path: Path) -> None:
    packed(top, tmp_path / "files.tar", "z")
    packed(top, tmp_path / "files.tgz", "b")
    assert [path.name for path in files_below(tree(tmp_path, ["files.tgz"]))][-1] == "z"
    assert on_disk(tree(tmp_path, ["files.tgz"]) / "z") == tmp_path / "files.tar"


def test_of_members_of_one_name_the_last_counts(tmp_path: Path, top: Path) -> None:
    with (
        zipfile.ZipFile(tmp_path / "files.zip", "w") as zipped,
        tarfile.open(tmp_path / "files.tar", "w") as tar,
    ):
        zipped.write(top / "a/a.txt", "same")
        tar.add(top / "a/a.txt", "same")
        tar.add(top / "z", "same")
        with pytest.warns(UserWarning, match="Duplicate name"):
            zipped.write(top / "z", "same")
    for kind in ("zip", "tar"):
        shutil.unpack_archive(tmp_path / f"files.{kind}", tmp_path / kind)
        found = tree(tmp_path / f"files.{kind}") / "same"
        assert found.read_bytes() == (tmp_path / kind / "same").read_bytes() == (top / "z").read_bytes()


def test_names_are_composed_and_those_that_do_not_say_so_are_utf_8(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "files.zip", "w") as zipped:
        zipped.writestr(normalize("NFD", "Müller.txt"), "1")
        zipped.writestr("Mxxller.jpg", "2")
    content = (tmp_path / "files.zip").read_bytes()
    (tmp_path / "files.zip").write_bytes(content.replace(b"Mxxller", "Müller".encode()))
    found = tree(tmp_path / "files.zip")
    assert sorted(path.name for path in found.iterdir()) == ["Müller.jpg", "Müller.txt"]
    assert (found / normalize("NFD", "Müller.txt")).read_text() == "1"


def test_backslashes_in_zip_files_of_windows_make_folders(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "files.zip", "w") as zipped:
        for name, system in (("a\\", 0), ("a\\b\\c.txt", 0), ("a/d\\e.txt", 0), ("of\\unix.txt", 3)):
            member = zipfile.ZipInfo(name)
            member.create_system = system
            zipped.writestr(member, "" if name == "a\\" else name)
    found = tree(tmp_path / "files.zip")
    contents = {name: content for name, content in everything(found, found) if content is not None}
    assert contents == {
        "a/b/c.txt": b"a\\b\\c.txt",
        "a/d\\e.txt": b"a/d\\e.txt",
        "of\\unix.txt": b"of\\unix.txt",
    }


def test_links_in_a_tar_are_the_files_that_they_lead_to(tmp_path: Path) -> None:
    folder = tmp_path / "files" / "a"
    folder.mkdir(parents=True)
    (folder / "file").write_text("content")
    (folder / "hard").hardlink_to(folder / "file")
    (folder / "soft").symlink_to("../a/file")
    (folder / "broken").symlink_to("no")
    with tarfile.open(tmp_path / "files.tar", "w") as tar:
        tar.add(tmp_path / "files", ".")
    found = tree(tmp_path / "files.tar") / "a"
    assert {path.name: path.read_text() for path in found.iterdir()} == dict.fromkeys(
        ("file", "hard", "soft"), "content"
    )


def test_archives_may_be_larger_than_4_gb(tmp_path: Path) -> None:
    hole = 5 * 2**30
    with (tmp_path / "large.zip").open("wb") as file:
        file.seek(hole)
        file.write(bytes(512))
        with zipfile.ZipFile(file, "a") as zipped:
            zipped.writestr("a/last", "last of a zip")
    large, last = tarfile.TarInfo("a/first"), tarfile.TarInfo("a/last")
    large.size, last.size = hole, 13
    with (tmp_path / "large.tar").open("wb") as file:
        file.write(large.tobuf())
        file.seek(hole, 1)
        file.write(last.tobuf() + b"last of a tar".ljust(512, b"\0") + bytes(1024))
    for kind in ("zip", "tar"):
        path = tree(tmp_path / f"large.{kind}") / "a" / "last"
        assert path.read_text() == f"last of a {kind}"


def test_a_path_survives_the_way_into_another_process(archived: ReadablePath, top: Path) -> None:
    path = archived / "b" / "c" / "d" / "e.tar.gz"
    copy = pickle.loads(pickle.dumps(path))
    assert copy == path
    assert hash(copy) == hash(path)
    assert fingerprint(copy) == fingerprint(path)
    assert copy.read_bytes() == (top / "b/c/d/e.tar.gz").read_bytes()


def test_a_fingerprint_is_the_same_in_every_process_and_another_after_a_change(
    top: Path, packed: Packed, tmp_path: Path
) -> None:
    file = packed(top, tmp_path / "files.zip")
    script = f"from fusionseg.files.archive_path import fingerprint; from fusionseg.files.archives import tree; print(fingerprint(tree({str(file)!r}) / 'z'))"
    there = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert there.stdout == f"{fingerprint(tree(file) / 'z')}\n"
    prints = {fingerprint(path) for path in files_below(tree(file))}
    assert len(prints) == 7
    (top / "a" / "a.txt").write_bytes(b"other")
    packed(top, file)
    assert not prints & {fingerprint(path) for path in files_below(tree(file))}
    assert fingerprint(top / "z")[1:] == ((top / "z").stat().st_size, (top / "z").stat().st_mtime_ns)


def _digits(path: Any) -> list[bytes]:
    return [path.read_bytes()[-100:] for _ in range(20)]


def test_forked_processes_read_at_once(archived: ReadablePath, top: Path) -> None:
    paths = list(files_below(archived))
    with multiprocessing.get_context("fork").Pool(2) as pool:
        found = pool.map(_digits, paths)
    assert found == [[path.read_bytes()[-100:]] * 20 for path in paths]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("left", [0, 10, 0.3, 0.9, -20_000])
def test_an_archive_that_is_cut_short_is_named(
    kind: str, left: float, top: Path, packed: Packed, tmp_path: Path
) -> None:
    file = packed(top, tmp_path / kind)
    content = file.read_bytes()
    file.write_bytes(content[: int(left * len(content)) if 0 < left < 1 else int(left)])
    with pytest.raises(UserError, match=f"complete archive, found .* in {file}: download") as error:
        tree(file)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind", ["text", "tar as zip", "zip as tar", "zip as tgz"])
def test_a_file_that_is_no_such_archive_is_named(
    kind: str, top: Path, packed: Packed, tmp_path: Path
) -> None:
    suffix = {"text": ".zip", "tar as zip": ".zip", "zip as tar": ".tar", "zip as tgz": ".tgz"}[kind]
    file = tmp_path / f"wrong{suffix}"
    if kind == "text":
        file.write_text("<html>Not found</html>")
    else:
        packed(top, tmp_path / f"right.{kind[:3]}").rename(file)
    with pytest.raises(UserError, match=f"in {file}: download it again"):
        tree(file)


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x", "a/.."])
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_names_that_lead_out_of_the_archive_are_refused(name: str, kind: str, tmp_path: Path) -> None:
    file = tmp_path / f"files.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(file, "w") as zipped:
            zipped.writestr(name, "")
    else:
        with tarfile.open(file, "w") as tar:
            tar.addfile(tarfile.TarInfo(name))
    with pytest.raises(
        UserError, match=f"found the name '{name}', which leads out of it, in {file}: download"
    ):
        tree(file)


def test_what_cannot_be_read_at_any_place_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "files.zip"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_BZIP2) as zipped:
        zipped.writestr("a/x", "content")
    with pytest.raises(UserError, match=rf"compressed by method 12 \(a/x\) in {file}: .*unpack it"):
        tree(file)
    with zipfile.ZipFile(file, "w") as zipped:
        zipped.writestr("a/x", "content")
    content = bytearray(file.read_bytes())
    content[content.index(b"PK\1\2") + 8] |= 1
    file.write_bytes(content)
    with pytest.raises(UserError, match=rf"encrypted \(a/x\) in {file}: .*unpack it"):
        tree(file)


@pytest.mark.parametrize("deflate", [False, True])
def test_a_damaged_member_is_named(deflate: bool, top: Path, packed: Packed, tmp_path: Path) -> None:
    file = packed(top, tmp_path / "files.zip", "z", deflate=deflate)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 255
    file.write_bytes(content)
    with pytest.raises(UserError, match=f"in {file}: download it again"):
        (tree(file) / "z").read_bytes()


def test_an_archive_that_changes_while_it_is_read_is_named(top: Path, packed: Packed, tmp_path: Path) -> None:
    file = packed(top, tmp_path / "files.zip")
    path = tree(file) / "z"
    packed(top, file, "a", "b", "z", deflate=False)
    with pytest.raises(UserError, match=f"in {file}"):
        path.read_bytes()


def test_paths_in_archives_are_only_read(top: Path, packed: Packed, tmp_path: Path) -> None:
    found = tree(packed(top, tmp_path / "files.zip"))
    assert isinstance(found, ArchivePath)
    with pytest.raises(ValueError, match="only read, found 'wb'"):
        (found / "z").open("wb")  # type: ignore[arg-type]
    with pytest.raises(IsADirectoryError, match="found a folder"):
        (found / "a").read_bytes()
    with pytest.raises(NotADirectoryError, match="found a file"):
        list((found / "z").iterdir())
    with pytest.raises(OSError, match="Not a directory"):
        open(found / "z")  # noqa: SIM115
