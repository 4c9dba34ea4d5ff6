import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from fusionseg.config.errors import UserError
from fusionseg.files.hdf5 import HDF5File

h5py = pytest.importorskip("h5py")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "file.mat"
    with h5py.File(path, "w") as file:
        file["values"] = np.arange(60, dtype=np.uint16).reshape(5, 3, 4)
        file["#refs#/a"] = np.array([[ord(c)] for c in "küche"], np.uint16)
        file["#refs#/b"] = np.array([[ord(c)] for c in "bad"], np.uint16)
        cells = [file["#refs#/a"].ref, file["#refs#/b"].ref]
        file["names"] = np.array([cells], h5py.ref_dtype)
    return path


def test_parts_shapes_and_texts_are_those_of_the_file(path: Path) -> None:
    file = HDF5File(path)
    assert file.shapes() == {"values": (5, 3, 4), "names": (1, 2)}
    assert np.array_equal(file.part("values", 3), np.arange(36, 48).reshape(3, 4))
    assert file.part("values", 3).dtype == np.uint16
    assert file.texts("names") == ["küche", "bad"]


def test_a_copy_opens_the_file_itself(path: Path) -> None:
    file = HDF5File(path)
    file.part("values", 0)
    copied = pickle.loads(pickle.dumps(file))
    assert np.array_equal(copied.part("values", 4), file.part("values", 4))


def test_threads_read_the_same_as_one(path: Path) -> None:
    file = HDF5File(path)
    with ThreadPoolExecutor(4) as pool:
        parts = list(pool.map(lambda i: file.part("values", i % 5), range(200)))
    assert all(np.array_equal(part, file.part("values", i % 5)) for i, part in enumerate(parts))


def test_what_cannot_be_read_is_named(path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        HDF5File(path.with_name("other.mat")).shapes()
    for read in (lambda f: f.part("nothing", 0), lambda f: f.part("values", 5), lambda f: f.texts("values")):
        with pytest.raises(UserError, match=r"file\.mat is no complete HDF5 file with these arrays"):
            read(HDF5File(path))
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match=r"truncated file.*: download it again"):
        HDF5File(path).shapes()
