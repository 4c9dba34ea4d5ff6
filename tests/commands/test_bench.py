import json
from pathlib import Path

import pytest

from fusionseg.bench.stages import STAGES
from fusionseg.commands import bench
from fusionseg.config.errors import UserError

QUICK = ["--repeats", "2", "--warmup", "1"]


@pytest.mark.slow
def test_what_a_run_costs_is_printed_and_written(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "bench.json"
    bench.main(
        [
            "--run",
            str(trained),
            "--batch_sizes",
            "1,2",
            "--precisions",
            "32-true",
            "--device",
            "cpu",
            *QUICK,
            "--out",
            str(out),
        ]
    )
    found = json.loads(out.read_text())
    assert found["parameters"] == json.loads((trained / "summary.json").read_text())["parameters"]
    assert found["parameters"] == sum(found["parameters_by_part"].values())
    assert found["macs"] > 10**6
    assert found["network_input"] == [3, 64, 64]
    assert found["images"] == {"source": "validation images of SyntheticScenes", "size": [64, 64]}
    assert (found["repeats"], found["warmup"], found["device"]["kind"]) == (2, 1, "cpu")
    assert [(one["precision"], one["batch_size"]) for one in found["measurements"]] == [
        ("32-true", 1),
        ("32-true", 2),
    ]
    for one in found["measurements"]:
        assert 0 < one["latency"]["p50"] <= one["latency"]["p90"] <= one["latency"]["p99"]
        assert one["images_per_second"] > 0
        assert one["peak_memory"] > 0
        assert tuple(one["stages"]) == STAGES
        assert sum(one["stages"].values()) == pytest.approx(one["total"])
    text = capsys.readouterr().out
    for part in (f"{found['parameters']:,}", "MACs", "p99 ms", "images/s", "peak MiB", *STAGES, str(out)):
        assert part in text, part


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--batch_sizes", "1,0"], "batch_sizes: expected integers above 0 with commas between, found '1,0'"),
        (["--batch_sizes", "a"], "batch_sizes: expected integers"),
        (["--size", "32"], "size: expected 2 integers above 0 with commas between, found '32'"),
        (["--repeats", "0"], "repeats: expected 1 or more, found 0"),
        (["--warmup", "-1"], "warmup: expected 0 or more"),
        (["--precisions", "8-bit"], "precision: "),
        (["--device", "toaster"], "device: expected a device of torch's that is there, found toaster"),
    ],
)
def test_arguments_that_cannot_be_used_are_one_line(args: list[str], message: str, trained: Path) -> None:
    with pytest.raises(UserError, match=message) as raised:
        bench.main(["--run", str(trained), *args])
    assert "\n" not in str(raised.value)


def test_an_exported_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"run: expected a run, .* found the exported file model\.onnx"):
        bench.main(["--run", "model.onnx"])


def test_a_run_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"found no .*nowhere"):
        bench.main(["--run", str(tmp_path / "nowhere")])
