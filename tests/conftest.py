"""What all tests share: fixed chance, no tracking, and real data where there are some.

What takes long to import is imported in the fixtures, since the process that hands out the tests to the workers, and that
they wait for, reads this file too.
"""

import gc
import html
import json
import multiprocessing
import os
import random
import re
import shutil
import struct
import subprocess
import sys
import tarfile
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import yaml

if TYPE_CHECKING:
    import lightning.pytorch as pl
    import numpy.typing as npt

    from fusionseg.data.base import Pixels
    from fusionseg.data.datamodule import SegmentationDataModule
    from fusionseg.module import FusionModule
    from fusionseg.sample import Sample

if "PYTEST_XDIST_WORKER" in os.environ:
    import torch

    # the workers are the parallelism, also of the processes that they start
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)

    def _given_values(draw: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
        """A function of `torch.nn.init` that leaves tensors without values as they are.

        Every encoder of timm is first built on the meta device, where this takes longer than drawing all weights does.
        """

        def drawn(tensor: torch.Tensor, *args: Any, **options: Any) -> torch.Tensor:
            return tensor if tensor.is_meta else draw(tensor, *args, **options)

        return drawn

    def _spared_encoders() -> None:
        """Builds each encoder of timm once on the meta device, where only its facts are read.

        segmentation-models-pytorch builds it there for every encoder, which is a quarter of the time of a small model.
        """
        module: Any = sys.modules.get("segmentation_models_pytorch.encoders.timm_universal")
        if module is None:
            return
        build = module.timm.create_model
        facts = cache(build)

        def built(name: str, **options: Any) -> torch.nn.Module:
            on_meta = torch.get_default_device().type == "meta"
            model: torch.nn.Module = (facts if on_meta else build)(name, **options)
            return model

        module.timm = SimpleNamespace(create_model=built)

    for _name in ("normal_", "uniform_", "kaiming_normal_", "kaiming_uniform_", "trunc_normal_"):
        setattr(torch.nn.init, _name, _given_values(getattr(torch.nn.init, _name)))

# what starts the processes of tests has the slow imports, so that these have not
multiprocessing.get_context("forkserver").set_forkserver_preload(
    ["pytest", *(f"fusionseg.commands.{name}" for name in ("fit", "evaluate", "predict"))]
)


# until all tests are collected, for the garbage collector would look through all that they import again and again
gc.disable()

NATIVE = re.compile("compiled|half_precision|bf16|fp16")
"""Names of tests whose arithmetic depends on what the processor has."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the tests of compiled code and of half precision."""
    for item in items:
        if NATIVE.search(item.name):
            item.add_marker("native")


def pytest_collection_finish() -> None:
    """Spares the garbage collector what the modules of the tests hold."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        _spared_encoders()
    gc.collect()
    gc.freeze()
    gc.enable()


def with_room(call: Callable[[], object]) -> object:
    """Calls a function with room for the frames of all that it calls.

    CPython keeps frames in chunks of 16 kB. With every call that crosses the end of one it asks the system for the
    next, and gives it back, so that what happens to be called there over and over takes up to half as long again. The
    frame of this function is so large that its chunk has a megabyte, whose other half is free.
    """
    return call()


with_room.__code__ = with_room.__code__.replace(co_stacksize=2**16)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> object:
    """Runs a test and its fixtures as pytest does, but with room for their frames.

    Of one function no more than eight graphs are compiled in a process, whichever tests it was given.
    """
    if "compiled" in item.name:
        import torch

        torch.compiler.reset()
    own: Any = item.config.pluginmanager.getplugin("runner")
    return with_room(partial(own.pytest_runtest_protocol, item, nextitem))


@pytest.fixture(autouse=True)
def fixed_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    random.seed(0)
    np.random.seed(0)
    # torch.manual_seed writes down the stack three times, for devices that may be used later, which takes 400 times as long
    torch.default_generator.manual_seed(0)
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.manual_seed_all(0)
    monkeypatch.delenv("PL_GLOBAL_SEED", raising=False)


@pytest.fixture(autouse=True, scope="session")
def no_tracking() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_MODE", "disabled")
        yield


@pytest.fixture(autouse=True)
def undrawn(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """No training draws its curves with matplotlib or panels of 9 MB, but in the tests of either.

    Each is a fifth of the time that a training takes here.
    """
    for name, function in (("learning_curves", "learning_curves"), ("pictures", "panel")):
        callback = sys.modules.get(f"fusionseg.callbacks.{name}")
        if callback and request.path.name != f"test_{name}.py":
            monkeypatch.setattr(callback, function, lambda *_: np.zeros((4, 4, 3), np.uint8))


@pytest.fixture(scope="session")
def wandb_records() -> Callable[[Path], list[Any]]:
    """Reads what the offline W&B runs in a run folder wrote: LevelDB's log of protocol buffers."""
    from wandb.proto.wandb_internal_pb2 import Record  # type: ignore[attr-defined]

    def read(run: Path) -> Iterator[Any]:
        for path in sorted(run.glob("wandb/offline-run-*/*.wandb")):
            content = path.read_bytes()
            position = 7
            record = b""
            while position + 7 <= len(content):
                if (room := 32768 - position % 32768) < 7:
                    position += room
                    continue
                _, length, kind = struct.unpack("<IHB", content[position : position + 7])
                record += content[position + 7 : position + 7 + length]
                position += 7 + length
                if kind in (1, 4):
                    yield Record.FromString(record)
                    record = b""

    return lambda run: list(read(run))


@pytest.fixture
def data() -> Path:
    """The folder of real data."""
    folder = os.environ.get("FUSIONSEG_DATA")
    if not folder:
        pytest.skip("FUSIONSEG_DATA is not set: it names the folder of real data")
    return Path(folder)


@pytest.fixture(scope="session")
def packed() -> Callable[..., Path]:
    """Writes what is in a folder, or a part of it, as a zip or tar archive, members deflated or as they are."""

    def written(folder: Path, archive: Path, *parts: str, deflate: bool = True) -> Path:
        archive.parent.mkdir(parents=True, exist_ok=True)
        tops = [folder / part for part in parts] if parts else sorted(folder.iterdir())
        files = [path for top in tops for path in (top, *sorted(top.rglob("*")))]
        if archive.suffix == ".zip":
            method = zipfile.ZIP_DEFLATED if deflate else zipfile.ZIP_STORED
            with zipfile.ZipFile(archive, "w", method) as zipped:
                for path in files:
                    zipped.write(path, path.relative_to(folder))
        else:
            options: dict[str, Any] = {} if archive.suffix == ".tar" else {"mode": "w:gz", "compresslevel": 1}
            with tarfile.open(archive, **{"mode": "w", **options}) as tar:
                for path in files:
                    tar.add(path, path.relative_to(folder), recursive=False)
        return archive

    return written


@pytest.fixture(scope="session")
def scenes() -> "Callable[..., Sample]":
    """Batches of synthetic scenes as the module gets them."""
    import torch

    from fusionseg.data.synthetic import SyntheticScenes

    def batch(number: int = 2, size: tuple[int, int] = (64, 96), surfaces: bool = False) -> "Sample":
        dataset = SyntheticScenes("val", number, size, depth=surfaces, normals=surfaces)
        images, semantic, region = (
            np.stack(maps) for maps in zip(*(dataset.read(i)[:3] for i in range(number)), strict=True)
        )
        return {
            "image": torch.from_numpy(images).permute(0, 3, 1, 2),
            "semantic": torch.from_numpy(semantic.astype(np.int64)),
            "region": torch.from_numpy(region.astype(np.int64)),
            "name": [dataset.name(i) for i in range(number)],
            **{
                kind: torch.from_numpy(np.stack([dataset.truth(i).maps[kind] for i in range(number)]))
                for kind in dataset.kinds
            },
        }

    return batch


@pytest.fixture(scope="session")
def small() -> "Callable[..., FusionModule]":
    """Models of the synthetic classes whose decoder is narrow."""
    from fusionseg.data.synthetic import SyntheticScenes
    from fusionseg.module import FusionModule
    from fusionseg.networks.backbone import Backbone

    narrow = {"decoder_pyramid_channels": 32, "decoder_segmentation_channels": 32}

    def model(**options: Any) -> "FusionModule":
        backbone = Backbone("tu-test_efficientnet", decoder="FPN", options=narrow)
        return FusionModule(SyntheticScenes.classes, **{"backbone": backbone, **options})

    return model


@pytest.fixture(scope="session")
def datamodule() -> "Callable[..., SegmentationDataModule]":
    """Five synthetic scenes of each split, two in a batch."""
    from fusionseg.data.datamodule import SegmentationDataModule
    from fusionseg.data.synthetic import SyntheticScenes

    def data(**options: Any) -> "SegmentationDataModule":
        scenes = partial(SyntheticScenes, length=5, size=(72, 100))
        fixed: dict[str, Any] = {
            "dataset": scenes,
            "batch_size": 2,
            "crop_size": (64, 64),
            "workers": 0,
            "seed": 3,
        }
        return SegmentationDataModule(**{**fixed, **options})

    return data


@pytest.fixture(scope="session")
def write_classes() -> Callable[..., Path]:
    """Writes gray images of 28 x 28 pixels in folders of their classes, dark, light and striped ones."""
    from PIL import Image

    def written(root: Path, each: int = 6, divided: bool = True) -> Path:
        rng = np.random.default_rng(0)
        for split in ("train", "val", "test") if divided else ("",):
            for i, kind in enumerate(("dark", "light", "striped")):
                folder = root / split / kind
                folder.mkdir(parents=True)
                for number in range(each):
                    image = rng.normal((60, 190, 125)[i], 20, (28, 28))
                    if kind == "striped":
                        image += np.where(np.arange(28) % 4 < 2, 60, -60)
                    Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(folder / f"{number}.png")
        return root

    return written


@pytest.fixture
def class_folders(write_classes: Callable[..., Path], tmp_path: Path) -> Callable[..., Path]:
    """Writes such images into a folder of the test's own."""
    return partial(write_classes, tmp_path / "patterns")


@pytest.fixture
def class_table() -> Callable[[Path], Path]:
    """Writes a table of the images of such folders, of which the even ones are also called even."""

    def written(folder: Path) -> Path:
        lines = ["image,label,split"]
        for path in sorted(folder.rglob("*.png")):
            split, kind, name = path.relative_to(folder).parts
            lines.append(f"{split}/{kind}/{name},{kind}{';even' if int(path.stem) % 2 == 0 else ''},{split}")
        (folder / "table.csv").write_text("\n".join(lines))
        return folder / "table.csv"

    return written


@pytest.fixture
def plan(tmp_path: Path) -> "Callable[..., pl.Trainer]":
    """A plain trainer of Lightning's, without anything around it."""
    import lightning.pytorch as pl

    def trainer(**options: Any) -> "pl.Trainer":
        bare: dict[str, Any] = dict.fromkeys(
            (
                "logger",
                "enable_checkpointing",
                "enable_progress_bar",
                "enable_model_summary",
                "use_distributed_sampler",
            ),
            False,
        )
        return pl.Trainer(
            **{**bare, "accelerator": "cpu", "max_epochs": 1, "num_sanity_val_steps": 0, **options},
            default_root_dir=tmp_path,
        )

    return trainer


STREET = (23, 7, 26, 24, 33, 27)
"""The label ids of Cityscapes in place of the classes of synthetic scenes: sky, road, car, person, bicycle and truck."""


def _street_values(scene: "Pixels") -> "npt.NDArray[np.int64]":
    """A scene as Cityscapes' `instanceIds`: the last thing is a crowd, and the ego vehicle is in the last rows."""
    values = np.array(STREET)[scene.semantic]
    seen: Counter[int] = Counter()
    things = [region for region in np.unique(scene.region) if region > 2]
    for region in things[:-1]:
        label = int(values[scene.region == region][0])
        values[scene.region == region] = 1000 * label + seen[label]
        seen[label] += 1
    values[-3:] = 1
    return values


@pytest.fixture
def cityscapes(tmp_path: Path) -> Path:
    """Cityscapes in its official layout, of the synthetic scenes 0 to 2: two of train, one of val, and a dummy of test."""
    from fusionseg.data.synthetic import SyntheticScenes

    def save(name: str, pixels: "npt.NDArray[Any]", dtype: type = np.uint8) -> None:
        _saved(tmp_path / "cityscapes" / name, pixels, dtype)

    scenes = SyntheticScenes("train", 3, (64, 128), depth=True)
    places = [("train", "aachen"), ("train", "ulm"), ("val", "frankfurt"), ("test", "berlin")]
    for i, (split, city) in enumerate(places):
        scene = scenes.read(i % 3)
        name = f"{split}/{city}/{city}_{i:06d}_000019"
        values = np.ones((64, 128), int) if split == "test" else _street_values(scene)
        label = np.where(values >= 1000, values // 1000, values)
        depth = scene.maps["depth"]
        save(f"leftImg8bit/{name}_leftImg8bit.png", scene.image)
        save(f"gtFine/{name}_gtFine_labelIds.png", label)
        save(f"gtFine/{name}_gtFine_instanceIds.png", values, np.uint16)
        save(f"gtFine/{name}_gtFine_color.png", np.dstack([label] * 4))
        disparity = np.where(depth > 0, 1 + np.rint(256 * 20 / depth.clip(0.1)), 0)
        save(f"disparity/{name}_disparity.png", disparity, np.uint16)
        (tmp_path / f"cityscapes/gtFine/{name}_gtFine_polygons.json").write_text("{}")
    return tmp_path / "cityscapes"


def _made(path: Path) -> Path:
    """A path whose folder is there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _saved(path: Path, values: "npt.ArrayLike", dtype: type = np.uint8) -> None:
    """Writes the pixels of an image."""
    from PIL import Image

    Image.fromarray(np.asarray(values, dtype)).save(_made(path))


@pytest.fixture
def camvid(tmp_path: Path) -> Path:
    """CamVid with the official list's absolute paths: a road, two specks of cars and void."""
    labels = np.full((20, 30), 3)
    labels[2:8, 2:8], labels[12, 12], labels[19] = 8, 8, 11
    for split in ("train", "val", "test"):
        lines = []
        for i in range(2):
            _saved(tmp_path / split / f"{split}_{i}.png", np.full((20, 30, 3), 100 + i))
            _saved(tmp_path / f"{split}annot" / f"{split}_{i}.png", labels)
            lines.append(
                f"/SegNet/CamVid/{split}/{split}_{i}.png /SegNet/CamVid/{split}annot/{split}_{i}.png\n"
            )
        (tmp_path / f"{split}.txt").write_text("".join(lines))
    return tmp_path


@pytest.fixture
def libmtl(tmp_path: Path) -> Path:
    """The arrays of MTAN and LibMTL of `nyuv2` and `cityscapes7`: the synthetic scenes 0, 2 and 10 of each split."""
    from fusionseg.data.synthetic import SyntheticScenes

    ids = np.array([2, 4, 3, 6, 0, 5])
    for copy in ("nyuv2", "cityscapes7"):
        for split in ("train", "val"):
            scenes = SyntheticScenes(split, 12, (48, 64), depth=True, normals=True)  # type: ignore[arg-type]
            for i in (0, 2, 10):
                image, semantic, _, maps = scenes.read(i)
                label = ids[semantic].astype(float)
                label[-2:] = -1
                depth = maps["depth"]
                if copy != "nyuv2":
                    depth = np.divide(1, depth, out=np.zeros_like(depth), where=depth > 0)
                arrays = {"image": image / 255, "label": label, "depth": depth[..., None]}
                if copy == "nyuv2":
                    arrays["normal"] = maps["normals"]
                for part, values in arrays.items():
                    np.save(_made(tmp_path / f"arrays/{copy}/{split}/{part}/{i}.npy"), values)
    return tmp_path / "arrays"


@pytest.fixture
def pixel_scenes() -> list["Pixels"]:
    """Synthetic scenes with depth and normals, the last rows of which are void in all labels."""
    from fusionseg.data.base import Pixels
    from fusionseg.data.synthetic import SyntheticScenes

    dataset = SyntheticScenes("train", length=7, size=(48, 64), depth=True, normals=True)
    found = []
    for index in range(len(dataset)):
        image, semantic, region, maps = dataset.read(index)
        semantic[-4:], region[-4:] = 255, 0
        found.append(Pixels(image, semantic, region, maps))
    return found


@pytest.fixture
def nyu_copy(tmp_path: Path, pixel_scenes: list["Pixels"]) -> Callable[[str], Path]:
    """Writes a copy of NYUv2: NYUD_MT of Vandenhende, NYUDv2 of ATRC, or the PNG files of VainF's toolkit."""

    def written(kind: str) -> Path:
        top = tmp_path / kind
        for i, (image, semantic, _, maps) in enumerate(pixel_scenes):
            void = semantic == 255
            split = "test" if i in (2, 5) else "train"
            colors = np.rint((maps["normals"] + 1) * 127.5)
            if kind == "toolkit":
                name = f"{split}/{i + 1:05d}.png"
                _saved(top / "image" / name, image)
                for number in (13, 40):
                    _saved(top / f"seg{number}" / name, np.where(void, 255, semantic + number - 13))
                _saved(top / "depth" / name, np.rint(maps["depth"] * 1000), np.uint16)
                _saved(top / "normal" / name, colors)
                continue
            arrays = kind == "NYUD_MT"
            _saved(top / "images" / f"{i:04d}.png", image)
            _saved(top / "segmentation" / f"{i:04d}.png", np.where(void, 0, semantic + 1))
            np.save(_made(top / "depth" / f"{i:04d}.npy"), maps["depth"])
            if arrays:
                np.save(_made(top / "normals" / f"{i:04d}.npy"), maps["normals"])
            else:
                _saved(top / "normals" / f"{i:04d}.png", colors)
            listed = _made(top / "gt_sets" / f"{'val' if split == 'test' else 'train'}.txt")
            with listed.open("a") as file:
                file.write(f"{i:04d}\n")
        return top

    return written


TINY = [
    *("--data.dataset", "SyntheticScenes", "--data.dataset.length", "8", "--data.dataset.size", "[64, 64]"),
    *("--data.crop_size", "[64, 64]", "--data.batch_size", "4", "--data.workers", "0"),
    *("--model.backbone.encoder", "tu-test_efficientnet"),
    *("--model.backbone.options", "{decoder_channels: [16, 16, 8, 8, 8]}", "--trainer.max_epochs", "2"),
]


@pytest.fixture
def tiny() -> list[str]:
    """The words of a training that takes a second."""
    return list(TINY)


STUDY = {
    "base": str(Path(__file__).parents[1] / "experiments" / "synthetic.yaml"),
    "settings": {
        "data.dataset.length": 8,
        "data.dataset.size": [32, 32],
        "data.crop_size": [32, 32],
        "data.workers": 0,
    },
    "budget": {"epochs": 1},
    "precision": "32-true",
    "seeds": 1,
}


@pytest.fixture
def study_file(tmp_path: Path) -> Callable[..., Path]:
    """Writes the file of a study whose trainings take a second, with further keys."""

    def written(name: str = "small", **content: Any) -> Path:
        file = tmp_path / f"{name}.yaml"
        file.write_text(yaml.safe_dump({**STUDY, **content}, sort_keys=False))
        return file

    return written


@pytest.fixture
def resolved_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Variants of studies are built in this process, which has imported what it takes, instead of another."""
    from fusionseg.studies import resolve

    def resolved(_: resolve.Resolver, commands: Sequence[Sequence[str]]) -> Any:
        return json.loads(json.dumps([resolve._resolved(list(command)) for command in commands]))

    monkeypatch.setattr(resolve.Resolver, "__call__", resolved)


@pytest.fixture(scope="session")
def _trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from fusionseg.commands import fit

    folder = tmp_path_factory.mktemp("runs") / "tiny"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_MODE", "disabled")
        fit.main([*TINY, "--out", str(folder)])
    return folder


@pytest.fixture
def trained(_trained: Path, tmp_path: Path) -> Path:
    """A run folder of that training, to do with as one likes."""
    return shutil.copytree(_trained, tmp_path / "trained")


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"),
    *(
        "--disable-background-networking",
        "--disable-component-update",
        "--host-resolver-rules=MAP * ~NOTFOUND",
    ),
    *("--enable-logging=stderr", "--virtual-time-budget=60000"),
]

PROBE = """
<script>
(async () => {
  const wait = () => new Promise(done => setTimeout(done, 100));
  while (document.documentElement.dataset.drawn !== "true") await wait();
  const column = (table, n) => [...document.getElementById(table).tBodies[0].rows]
    .filter(row => !row.hidden).map(row => row.cells[n].dataset.key);
  const press = (table, n) => document.getElementById(table).tHead.rows[0].cells[n].firstElementChild.click();
  const found = await (async () => { %s })();
  parent.postMessage(JSON.stringify(found), "*");
})();
</script>
"""
FRAME = """<!doctype html><iframe src="probed.html" width="{width}" height="900" style="border: 0"></iframe>
<script>
addEventListener("message", event => {{
  const out = document.createElement("pre");
  out.id = "probe";
  out.textContent = event.data;
  document.body.append(out);
}});
</script>
"""


@pytest.fixture
def opened(tmp_path: Path) -> Callable[..., Any]:
    """Runs a script in a page in headless Chromium."""
    if CHROMIUM is None:
        pytest.skip("no Chromium on the path: apt-get install -y chromium")

    def found(page: Path, script: str, width: int = 1200) -> Any:
        """What a script finds in the page, of a width in pixels, after its charts are drawn.

        Fails on any message on the console. The page is in a frame, because a window is at least 500 pixels wide.
        """
        folder = tmp_path / "browser"
        folder.mkdir(exist_ok=True)
        before, _, after = page.read_text().rpartition("</body>")
        (folder / "probed.html").write_text(f"{before}{PROBE % script}</body>{after}")
        frame = folder / "frame.html"
        frame.write_text(FRAME.format(width=width))
        profile = f"--user-data-dir={folder / 'profile'}"
        command = [str(CHROMIUM), *FLAGS, profile, "--dump-dom", frame.as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
        assert not re.findall(r".*CONSOLE.*", done.stderr)
        probe = re.search(r'<pre id="probe">(.*?)</pre>', done.stdout, re.DOTALL)
        assert probe, "the charts were not drawn"
        return json.loads(html.unescape(probe[1]))

    return found
