"""Figures of kept outputs, against the evaluation of the whole model."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from fusionseg.config.errors import UserError
from fusionseg.engine.decoding import Parameters
from fusionseg.engine.evaluation import evaluated
from fusionseg.heads import (
    AffinityHead,
    BoundaryHead,
    CenterOffsetHead,
    DistanceHead,
    EmbeddingHead,
    MaskQueryHead,
    MaskRCNNHead,
    TrinaryHead,
)
from fusionseg.metrics.suite import total
from fusionseg.module import FusionModule
from fusionseg.tuning import outputs
from fusionseg.tuning.measuring import measured
from fusionseg.tuning.outputs import kept_outputs
from fusionseg.tuning.plan import Plan, planned

Small = Callable[..., FusionModule]
Data = Callable[..., Any]


def figures(kept: outputs.KeptOutputs, plan: Plan, parameters: Parameters) -> dict[str, float]:
    return plan.figures(kept.fixed | total(measured(file, parameters) for file in kept.files))


def expected(model: FusionModule, data: Any) -> dict[str, float]:
    """The figures by the evaluation that `evaluate` goes by."""
    images = evaluated(model, data, "val", "32-true", model.suite)
    return model.suite.figures(total(image.sums for _, image in images))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("head", "metric", "changed"),
    [
        (BoundaryHead, "score", {"threshold": 0.47, "min_area": 60}),
        (CenterOffsetHead, "pq", {"threshold": 0.4, "kernel": 21}),
        (partial(DistanceHead, reach=8), "covering", {"seed": 1.5, "min_area": 3}),
        (AffinityHead, "miou_fused", {"threshold": 0.45, "cell": 8, "min_area": 5}),
        (EmbeddingHead, "boundary_f", {"bandwidth": 0.4, "min_area": 2}),
        (TrinaryHead, "covering", {"min_area": 1}),
        (partial(MaskQueryHead, queries=10), "covering", {"threshold": 0.1, "overlap": 0.1}),
        (partial(MaskRCNNHead, channels=16), "covering", {"threshold": 0.3, "gap": 4}),
    ],
    ids=["boundary", "center and offset", "distance", "affinity", "embedding", "trinary", "query", "boxes"],
)
def test_kept_outputs_have_the_figures_of_the_model(
    head: Any, metric: str, changed: dict[str, float], small: Small, datamodule: Data, tmp_path: Path
) -> None:
    model, data = small(region_head=head), datamodule(eval_batch_size=2, scale=0.7)
    plan = planned(model.heads, model.suite, metric)
    kept = kept_outputs(model, data, "32-true", plan, tmp_path)
    assert (kept.images, len(kept.files)) == (5, 3)
    for parameters in ({"region": changed}, plan.own):
        found = figures(kept, plan, parameters)
        model.heads["region"].set_decoding(**parameters["region"])
        known = expected(model, data)
        assert metric in found
        assert found == pytest.approx({name: known[name] for name in found}, rel=1e-12, nan_ok=True)


def test_the_network_runs_once_for_each_batch(small: Small, datamodule: Data, tmp_path: Path) -> None:
    model, data = small(), datamodule()
    batches: list[int] = []
    model.network.register_forward_hook(lambda network, args, output: batches.append(len(args[0])))
    plan = planned(model.heads, model.suite, "score")
    kept = kept_outputs(model, data, "32-true", plan, tmp_path)
    assert batches == [1] * 5
    assert len(
        {figures(kept, plan, {"region": {"threshold": t, "min_area": 9}})["covering"] for t in (0.3, 0.49)}
    )
    assert batches == [1] * 5


def test_the_size_is_that_of_the_folder(small: Small, datamodule: Data, tmp_path: Path) -> None:
    model = small()
    kept = kept_outputs(model, datamodule(), "32-true", planned(model.heads, model.suite, "score"), tmp_path)
    written = sum(path.stat().st_size for path in tmp_path.iterdir() if path in kept.files)
    assert kept.size == written > 0


def test_a_full_disk_is_said_with_what_to_do(
    small: Small, datamodule: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, content: bytes) -> int:
        raise OSError(28, "No space left on device")

    model = small()
    plan = planned(model.heads, model.suite, "score")
    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(UserError, match=r"could not be kept \(No space left on device\): .* TMPDIR"):
        kept_outputs(model, datamodule(), "32-true", plan, tmp_path)


def test_a_head_that_other_processes_cannot_be_given_is_refused(
    small: Small, datamodule: Data, tmp_path: Path
) -> None:
    model = small()
    model.heads["region"].act = lambda x: torch.relu(x)
    plan = planned(model.heads, model.suite, "score")
    with pytest.raises(UserError, match=r"a head or its output cannot be given to other processes: .*lambda"):
        kept_outputs(model, datamodule(), "32-true", plan, tmp_path)
