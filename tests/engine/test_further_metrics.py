"""Metrics beside those of the heads: in validation, in checkpoints and from the command line."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from fusionseg.commands import evaluate, fit
from fusionseg.config.lightning_messages import quiet
from fusionseg.data.synthetic import SyntheticScenes
from fusionseg.engine.evaluation import validation_figures
from fusionseg.engine.further_metrics import NAMED
from fusionseg.heads import DepthHead, ExtraHead
from fusionseg.metrics import (
    BoundaryCalibration,
    BoundaryMetrics,
    ImageMetric,
    LibMTLSemanticMetrics,
    MTANDepthMetrics,
    MTANDisparityMetrics,
    MTANSemanticMetrics,
    SemanticMetrics,
    VandenhendeSemanticMetrics,
)
from fusionseg.module import FusionModule

DEPTH = {"depth": ExtraHead(DepthHead)}


def validated(module: FusionModule, data: Any, plan: Any) -> dict[str, float]:
    with quiet():
        [figures] = plan().validate(module, data, verbose=False)
    return dict(figures)


@pytest.mark.slow
def test_further_figures_are_validated_and_the_others_stay(small: Any, datamodule: Any, plan: Any) -> None:
    data = datamodule(dataset=partial(SyntheticScenes, length=5, size=(72, 100), depth=True))
    plain = small(extra_heads=DEPTH)
    more = small(extra_heads=DEPTH, metrics=[MTANSemanticMetrics, MTANDepthMetrics, LibMTLSemanticMetrics])
    more.load_state_dict(plain.state_dict())
    before, after = validated(plain, data, plan), validated(more, data, plan)
    further = {name: value for name, value in after.items() if name not in before}
    np.testing.assert_equal(before, {name: after[name] for name in before})
    assert {name.removeprefix("val/") for name in further} == {
        *("miou_mtan", "accuracy_mtan", "depth_abs_error_mtan", "depth_rel_error_mtan"),
        *("miou_libmtl", "accuracy_libmtl"),
    }
    assert after["val/accuracy_libmtl"] == after["val/accuracy"]
    assert after["val/depth_abs_error_mtan"] != after["val/depth_abs_error"]
    assert "val/score" in before


def test_a_further_figure_may_choose_the_best_epoch(small: Any) -> None:
    assert "val/miou_mtan" in validation_figures(small(metrics=[MTANSemanticMetrics]))


def test_a_metric_may_have_arguments(small: Any) -> None:
    module = small(region_head=None, metrics=[partial(VandenhendeSemanticMetrics, num_classes=99)])
    [metric] = [one for one in module.suite if isinstance(one, VandenhendeSemanticMetrics)]
    assert metric.num_classes == len(SyntheticScenes.classes)


def test_what_a_head_predicts_besides_labels_is_measured(small: Any) -> None:
    suite = small(metrics=[BoundaryCalibration]).suite
    assert "contour_logits" in suite.answers


def test_a_checkpoint_names_them(small: Any) -> None:
    found = small(extra_heads=DEPTH, metrics=[MTANDepthMetrics]).hparams["metrics"]
    assert found == [{"class_path": "fusionseg.metrics.MTANDepthMetrics"}]


def test_a_metric_of_what_no_head_predicts_is_refused(small: Any) -> None:
    message = r"of what heads predict \(region, semantic\), found MTANDepthMetrics, which is of depth"
    with pytest.raises(ValueError, match=message):
        small(metrics=[MTANDepthMetrics])


def test_a_metric_that_is_there_is_refused(small: Any) -> None:
    with pytest.raises(ValueError, match="'semantic' in SemanticMetrics and SemanticMetrics"):
        small(metrics=[SemanticMetrics])
    with pytest.raises(ValueError, match="'boundary' in BoundaryMetrics and BoundaryMetrics"):
        small(metrics=[BoundaryMetrics])


def test_the_command_line_knows_the_names_of_all_metrics() -> None:
    def below(kind: type) -> set[type]:
        return set(kind.__subclasses__()).union(*map(below, kind.__subclasses__()))

    own = {kind for kind in below(ImageMetric) if kind.__module__.startswith("fusionseg.")}
    assert own <= set(NAMED)
    assert MTANDisparityMetrics in own, "which is one by way of another"


@pytest.mark.slow
def test_one_key_of_a_configuration_measures_them_in_training_and_in_evaluate(
    tiny: list[str], tmp_path: Path
) -> None:
    file, run = tmp_path / "protocol.yaml", tmp_path / "run"
    file.write_text(yaml.safe_dump({"model": {"metrics": ["MTANSemanticMetrics"]}}))
    fit.main(["--config", str(file), *tiny[:-1], "1", "--out", str(run)])
    written = yaml.safe_load((run / "config.yaml").read_text())["model"]["init_args"]["metrics"]
    assert written == [{"class_path": "fusionseg.metrics.MTANSemanticMetrics"}]
    evaluate.main(["--run", str(run)])
    validated = json.loads((run / "summary.json").read_text())["metrics"]
    # Lightning keeps what it logs in single precision
    measured = json.loads((run / "evaluation" / "val.json").read_text())["metrics"]
    assert validated["val/miou_mtan"] == pytest.approx(measured["miou_mtan"], rel=1e-6)
    assert 0 < measured["miou_mtan"] < 1
