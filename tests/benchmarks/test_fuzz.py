import io
import pickle
from pathlib import Path
from random import Random

import pytest
import torch
import yaml
from PIL import Image

from benchmarks import ends, fuzz, mutations
from benchmarks.dataset_cases import CHANGES, misfit
from benchmarks.ends import End, fault

SAID = "precision 32-true\nerror: data.scale: expected a number, found 'x'\n"
BAD = {
    "a traceback": End(1, "Traceback (most recent call last):\n  ...\nKeyError: 'x'", ""),
    "exit code -9": End(-9, "", ""),
    "a warning": End(0, "module.py:7: this is odd\n", ""),
    "no message": End(2, "", ""),
    "a message of 11 lines": End(2, "error: data.scale" + "\nmore" * 10, ""),
    "names neither file nor setting": End(2, "error: something is wrong", ""),
    "took more than 60 s": End(None, "", "more than 60 s"),
}


@pytest.mark.parametrize("what", BAD)
def test_what_is_no_clear_error_is_a_fault(what: str) -> None:
    assert what in fault(BAD[what], set(), {"scale"})


def test_what_is_left_after_an_error_is_a_fault_unless_it_is_a_whole_run() -> None:
    whole = {"out", "out/config.yaml", "out/summary.json", "out/metrics.csv", "out/checkpoints/last.ckpt"}
    assert not fault(End(2, SAID, ""), set(), {"scale"})
    assert not fault(End(2, SAID, ""), whole, {"scale"})
    assert "left ['out', 'out/config.yaml']" in fault(End(2, SAID, ""), {"out", "out/config.yaml"}, {"scale"})
    assert "left ['out/.best.1.ckpt']" in fault(End(0, "", ""), {*whole, "out/.best.1.ckpt"}, set())
    assert "code was executed" in fault(End(2, SAID, ""), {mutations.EXECUTED}, {"scale"})


def test_the_hidden_code_would_run_if_it_were_unpickled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    pickle.loads(pickle.dumps(mutations.Code()))
    assert (tmp_path / mutations.EXECUTED).is_file()


def _content(kind: str) -> bytes:
    out = io.BytesIO()
    if kind == "checkpoint":
        recipe = {"network": {"class_path": "a.B"}}
        parts = {
            "state_dict": {"w": torch.ones(3)},
            "hyper_parameters": recipe,
            "datamodule_hyper_parameters": recipe,
        }
        torch.save(parts, out)
    elif kind in ("photo", "labels"):
        Image.new("L", (30, 20), 1).save(out, "PNG")
    else:
        out.write(yaml.safe_dump({"model": {"alpha": 1.0, "parts": [1, 2]}, "data": {"scale": 2}}).encode())
    return out.getvalue()


@pytest.mark.filterwarnings("ignore:.*:UserWarning")  # torch's, about sparse tensors
@pytest.mark.parametrize("kind", fuzz.KINDS)
def test_a_seed_repeats_its_mutation(kind: str) -> None:
    content = _content(kind)
    for mutation in dict.fromkeys(fuzz.KINDS[kind].mutations):
        first, again = (mutation(Random(5), content) for _ in range(2))
        assert first == again
        assert len({mutation(Random(seed), content) for seed in range(20)}) > 1


@pytest.mark.slow
def test_fuzz_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["fuzz", "--case", "checkpoint/1", "dataset/5", "dataset/20"])
    with pytest.raises(SystemExit) as end:
        fuzz.main()
    assert end.value.code == 0, capsys.readouterr().out
    assert "corrupted files" in capsys.readouterr().out


def test_an_answer_is_right_if_it_ends_and_says_what_it_has_to() -> None:
    noticed = CHANGES["turned"]
    refused = CHANGES["void"]
    plain = CHANGES["reformatted"]
    said = "precision 32-true\n4 of 4 train photos have an EXIF orientation\n"
    assert not misfit(noticed, End(0, said, ""), {"out"})
    assert "does not say 'EXIF orientation'" in misfit(noticed, End(0, "", ""), {"out"})
    assert not misfit(refused, End(2, "error: found no labelled pixel", ""), set())
    assert "exit code 0 and not 2" in misfit(refused, End(0, "found no labelled pixel", ""), set())
    assert "left ['out/config.yaml']" in misfit(
        refused, End(2, "found no labelled pixel", ""), {"out/config.yaml"}
    )
    assert not misfit(plain, End(0, "precision 32-true\n", ""), {"out"})
    assert "says" in misfit(plain, End(0, said, ""), {"out"})
    assert "code was executed" in misfit(plain, End(0, "", ""), {mutations.EXECUTED})


def test_a_command_that_takes_too_long_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ends, "SECONDS", 0.2)
    (tmp_path / "x").mkdir()
    assert ends.ended(tmp_path / "x", ("fit", "--wandb", "disabled")).took == "more than 0.2 s"
