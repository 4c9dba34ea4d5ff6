"""The command `report` on run folders that were trained and evaluated."""

import re
import shutil
import sys
from pathlib import Path

import pytest

from fusionseg.commands import evaluate, fit
from fusionseg.commands.report import main, report_folder
from fusionseg.config.errors import UsageError
from fusionseg.studies.folder import StudyFolder


@pytest.fixture(scope="module")
def runs(tiny_words: list[str], tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Two variants, trained and evaluated."""
    top = tmp_path_factory.mktemp("runs")
    folders = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_MODE", "disabled")
        for variant, settings in {"joint": [], "semantic": ["--model.region_head", "null"]}.items():
            folder = str(top / variant / "0")
            fit.main([*tiny_words, *settings, "--seed_everything", "0", "--out", folder])
            evaluate.main(["--run", folder, "--pictures", "0"])
            folders.append(folder)
    return folders


@pytest.fixture(scope="module")
def tiny_words() -> list[str]:
    return [
        *(
            "--data.dataset",
            "SyntheticScenes",
            "--data.dataset.length",
            "8",
            "--data.dataset.size",
            "[64, 64]",
        ),
        *("--data.crop_size", "[64, 64]", "--data.batch_size", "4", "--data.workers", "0"),
        *("--model.backbone.encoder", "tu-mobilenetv3_small_050", "--trainer.max_epochs", "2"),
    ]


@pytest.mark.slow
def test_run_folders_make_a_page_with_tables_and_pictures(
    runs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main([*runs, "--out", str(tmp_path / "report"), "--pictures", "2"])
    page = tmp_path / "report" / "index.html"
    printed = capsys.readouterr()
    assert printed.out.strip() == str(page)
    assert printed.err.strip() == "one seed (0): no spread over trainings and no test; add seeds"
    text = page.read_text()
    assert len(re.findall(r'<img src="data:image/', text)) == 2 * (2 + 2)
    assert "scores are not comparable" in text
    for name in ("scores", "differences", "runs", "classes", "costs"):
        assert {f"{name}.{suffix}" for suffix in ("csv", "md", "tex")} <= {
            p.name for p in page.parent.iterdir()
        }


@pytest.mark.slow
def test_data_that_moved_leave_a_page_without_pictures(runs: list[str], tmp_path: Path) -> None:
    copies = []
    for folder in runs:
        copy = tmp_path / Path(folder).parent.name / Path(folder).name
        copies.append(str(shutil.copytree(folder, copy)))
        (copy / "checkpoints" / "best.ckpt").unlink()
    main([*copies, "--out", str(tmp_path / "report")])
    assert re.search(
        r"No pictures: \S+best.ckpt: no such checkpoint", (tmp_path / "report/index.html").read_text()
    )


@pytest.mark.parametrize("names", [["s"], ["s", "t"]])
def test_each_of_several_studies_in_a_folder_has_a_place_of_its_own(names: list[str], tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path / "out")
    for name in names:
        folder.declare({"name": name})
    expected = tmp_path / "out" / "report" / ("s" if len(names) > 1 else "")
    assert report_folder([str(folder.path)], "s") == expected
    assert report_folder(["a", "b"], "runs") == Path("report")


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="expected a folder of a study, or run folders, found neither"):
        main([str(tmp_path)])


def test_a_folder_of_another_version_is_refused(tmp_path: Path) -> None:
    study = StudyFolder(tmp_path)
    study.declare({"name": "old"})
    study.declaration("old").write_text('{"version": 99, "name": "old"}')
    with pytest.raises(UsageError, match=r"old.json: expected version 1 of a study, found 99"):
        main([str(tmp_path)])


@pytest.mark.slow
def test_an_unknown_metric_names_the_nearest(runs: list[str], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="did you mean val/miou"):
        main([*runs, "--metric", "val/mious", "--out", str(tmp_path)])


@pytest.mark.parametrize("package", ["jinja2", "vl_convert"])
def test_a_missing_package_says_how_to_install_it(
    package: str, runs: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fusionseg.pages import page

    page.vega.cache_clear()
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UsageError, match=r'pip install "fusionseg\[study\]"'):
        main([*runs, "--out", str(tmp_path), "--pictures", "0"])
