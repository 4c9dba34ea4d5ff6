from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from fusionseg.config.errors import UserError
from fusionseg.heads import BoundaryHead
from fusionseg.runs.decoder import Decoder, digest, tuned
from fusionseg.runs.folder import RunFolder


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path / "run")
    folder.checkpoints.mkdir(parents=True)
    folder.best.write_bytes(b"the best weights")
    folder.last.write_bytes(b"the last weights")
    return folder


@pytest.fixture
def decoder(run: RunFolder) -> Decoder:
    return Decoder(
        parameters={"region": {"threshold": 1 / 3, "min_area": 77}},
        untuned={"region": {"threshold": 0.5, "min_area": 20}},
        metric="val/covering",
        before={"covering": 0.4},
        after={"covering": 0.5},
        images=9,
        trials=30,
        seed=4,
        checkpoint="best",
        digest=digest(run.best),
    )


def model(**options: Any) -> Any:
    return SimpleNamespace(heads={"region": BoundaryHead(1, **options)})


def test_what_is_written_is_read(run: RunFolder, decoder: Decoder) -> None:
    assert Decoder.of(run) is None
    decoder.write(run)
    assert Decoder.of(run) == decoder
    assert [path.name for path in run.path.iterdir() if path.is_file()] == ["decoder.yaml"]


CALIBRATION = {"region": {"temperature": 1.7, "nll_before": 0.5, "nll_after": 0.4}}


def test_probabilities_have_the_temperature_of_the_run(run: RunFolder, decoder: Decoder) -> None:
    replace(decoder, calibration=CALIBRATION).write(run)
    own = model()
    found = tuned(own, run, "best")
    assert found is not None
    assert own.heads["region"].temperature == found.temperatures["region"] == 1.7
    assert found.record["temperatures"] == {"region": 1.7}
    assert "region.threshold 0.333, region.min_area 77, region.temperature 1.7" in found.line("val")
    alone = replace(found, parameters={}, metric="likelihood", trials=0)
    assert alone.line("val") == (
        "tuned probabilities (region.temperature 1.7): fitted to the likelihood of 9 validation images"
    )


@pytest.mark.parametrize("value", [0, -1.5, float("nan"), float("inf"), "hot", True, None])
def test_a_temperature_that_is_none_is_one_line(value: Any, run: RunFolder, decoder: Decoder) -> None:
    replace(decoder, calibration={"region": {"temperature": value}}).write(run)
    with pytest.raises(UserError, match=r"decoder\.yaml: region: expected a temperature above 0, found "):
        tuned(model(), run, "best")


def test_a_temperature_of_another_task_is_one_line(run: RunFolder, decoder: Decoder) -> None:
    replace(decoder, calibration={"semantic": {"temperature": 2.0}}).write(run)
    with pytest.raises(UserError, match=r"decoder\.yaml: expected a head of semantic, found heads of region"):
        tuned(model(), run, "best")


def test_a_decoder_of_a_version_without_temperatures_is_read(run: RunFolder, decoder: Decoder) -> None:
    decoder.write(run)
    content = yaml.safe_load(run.decoder.read_text())
    del content["calibration"]
    run.decoder.write_text(yaml.safe_dump(content))
    assert Decoder.of(run) == decoder


def test_a_model_decodes_as_its_run_was_tuned(run: RunFolder, decoder: Decoder) -> None:
    own = model()
    assert tuned(own, run, "best") is None
    assert (own.heads["region"].threshold, own.heads["region"].min_area) == (0.5, 20)
    decoder.write(run)
    assert tuned(own, run, "best") == decoder
    assert (own.heads["region"].threshold, own.heads["region"].min_area) == (1 / 3, 77)


def test_what_was_tuned_for_another_checkpoint_is_refused(run: RunFolder, decoder: Decoder) -> None:
    decoder.write(run)
    with pytest.raises(
        UserError, match=r"yaml was tuned for best\.ckpt, not for this last\.ckpt: tune again"
    ):
        tuned(model(), run, "last")
    run.best.write_bytes(b"better weights, of a training that went on")
    with pytest.raises(UserError, match=r"was tuned for an earlier one, not for this best\.ckpt: tune again"):
        tuned(model(), run, "best")
    assert tuned(model(), run) == decoder  # for what no weights are needed


def test_parameters_that_are_given_beside_tuned_ones_are_refused(run: RunFolder, decoder: Decoder) -> None:
    decoder.write(run)
    message = r"^region\.threshold: is 0\.3 here, and was 0\.5 when .*decoder\.yaml was tuned: .*--untuned"
    with pytest.raises(UserError, match=message):
        tuned(model(threshold=0.3), run, "best")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "expected a configuration"),
        ("[1, 2]", "expected a configuration"),
        ("threshold: 0.3\n", "expected what `fusionseg tune` writes, .* found threshold: tune again"),
        ("parameters: [", "expected YAML"),
    ],
)
def test_a_file_of_something_else_is_one_line(content: str, message: str, run: RunFolder) -> None:
    run.decoder.write_text(content)
    with pytest.raises(UserError, match=f"decoder.yaml.*{message}") as raised:
        tuned(model(), run, "best")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"region": {"threshold": 1.5}}, r"region: expected a threshold in \(0, 1\), found 1.5"),
        ({"region": {"threshold": float("nan")}}, r"region: expected a threshold in \(0, 1\), found nan"),
        ({"region": {"threshold": "wide"}}, "region: expected a number as threshold, found 'wide'"),
        ({"region": {"min_area": 2.5}}, "region: expected an integer as min_area, found 2.5"),
        ({"region": {"width": 4}}, "region: BoundaryHead has threshold, min_area to tune, found width"),
        ({"region": {3: 4}}, "region: .*keywords must be strings"),
        ({"semantic": {"threshold": 0.5}}, "expected a head of semantic, found heads of region"),
    ],
)
def test_parameters_that_a_head_cannot_use_are_refused_in_its_words(
    parameters: Any, message: str, run: RunFolder, decoder: Decoder
) -> None:
    replace(decoder, parameters=parameters).write(run)
    with pytest.raises(UserError, match=f"decoder.yaml: {message}"):
        tuned(model(), run, "best")


def test_the_file_says_what_it_is_and_how_to_be_rid_of_it(run: RunFolder, decoder: Decoder) -> None:
    decoder.write(run)
    text = run.decoder.read_text()
    assert "fusionseg tune --run DIR --reset" in text
    assert yaml.safe_load(text)["after"] == {"covering": 0.5}
