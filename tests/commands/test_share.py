import json
import shutil
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub import HfApi, ModelCard

from fusionseg.commands import predict, share
from fusionseg.config.errors import UsageError, UserError
from fusionseg.module import FusionModule


@pytest.mark.slow
def test_a_run_becomes_a_folder_with_a_card_of_it(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "shared" / "scenes"
    share.main(["--run", str(trained), "--out", str(out), "--license", "apache-2.0", "--data_license", "CC0"])
    assert capsys.readouterr().out == f"{out}\n"
    assert sorted(path.name for path in out.parent.rglob("*")) == [
        "README.md",
        "config.json",
        "model.safetensors",
        "scenes",
    ]
    card = ModelCard.load(out / "README.md")
    summary = json.loads((trained / "summary.json").read_text())
    assert card.data.license == "apache-2.0"
    assert card.data.eval_results[0].metric_value == pytest.approx(
        summary["best"]["metrics"]["val/miou"], abs=1e-6
    )
    assert summary["commit"] in card.text
    assert "| training images | 8 |" in card.text
    assert "`test` was not measured." in card.text
    assert not FusionModule.from_pretrained(out).training
    image = next((trained / "pictures").iterdir())
    predict.main(["--run", str(out), "--images", str(image), "--out", str(tmp_path / "answers")])
    assert (tmp_path / "answers" / "panoptic.json").is_file()


@pytest.mark.slow
def test_what_is_pushed_to_the_hub_has_the_run_s_card(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: dict[str, Any] = {}

    def created(self: HfApi, repo_id: str, **options: Any) -> huggingface_hub.RepoUrl:
        asked.update(options)
        return huggingface_hub.RepoUrl(f"https://huggingface.co/{repo_id}")

    def uploaded(self: HfApi, *, folder_path: Path, repo_id: str, **_: object) -> str:
        shutil.copytree(folder_path, tmp_path / "pushed")
        return f"https://huggingface.co/{repo_id}/commit/0"

    monkeypatch.setattr(HfApi, "create_repo", created)
    monkeypatch.setattr(HfApi, "upload_folder", uploaded)
    share.main(["--run", str(trained), "--hub", "me/scenes", "--private"])
    captured = capsys.readouterr()
    assert captured.out == "https://huggingface.co/me/scenes/commit/0\n"
    assert "the card says that none is given" in captured.err
    assert asked["private"] is True
    assert "generated from the run" in ModelCard.load(tmp_path / "pushed" / "README.md").text


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([], "expected --out or --hub, or both, found neither"),
        (["--out", "full"], "expected a new folder to write, found a folder that is not empty: full"),
        (["--hub", "a/b/c"], "Repo id must be"),
        (["--out", "new", "--license", "Apache"], "license: expected an identifier"),
    ],
)
def test_what_cannot_be_shared_is_one_line_before_anything_is_read(
    args: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(UserError, match=message):
        share.main(["--run", "nowhere", *args])
    assert not (tmp_path / "new").exists()


@pytest.mark.slow
def test_a_folder_without_a_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"expected a run folder with config\.yaml"):
        share.main(["--run", str(tmp_path), "--out", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_without_a_network_nothing_is_pushed(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(OSError, match="offline mode is enabled"):
        share.main(["--run", str(trained), "--hub", "me/scenes"])


@pytest.mark.slow
def test_a_model_that_is_no_fusion_module_is_refused(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fusionseg.runs import sharing

    monkeypatch.setattr(sharing, "HubModule", int)
    with pytest.raises(UsageError, match="expected a run of a FusionModule, found FusionModule"):
        share.main(["--run", str(trained), "--out", str(trained / "out")])
