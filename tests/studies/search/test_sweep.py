from pathlib import Path
from typing import Any

import pytest
import yaml

from fusionseg.config.errors import UsageError
from fusionseg.studies.search.sweep import search_sweep


def test_a_sweep_draws_from_the_same_space(searching: Any) -> None:
    content = yaml.safe_load(search_sweep(searching.plan(searching.study(trials=30)), searching.folder))
    assert (content["method"], content["run_cap"]) == ("bayes", 30)
    assert content["metric"] == {"name": "val/score", "goal": "maximize"}
    assert content["parameters"] == {
        "model.optimizer.init_args.lr": {"distribution": "log_uniform_values", "min": 1e-4, "max": 1e-2},
        "model.beta": {"distribution": "uniform", "min": 0.1, "max": 4},
        "model.backbone.decoder": {"values": ["Unet", "SlimUnet"]},
        "data.batch_size": {"values": [4, 8, 12, 16]},
    }
    config, file, seed, rest = content["command"][-4:]
    assert (config, seed, rest) == ("--config", "--seed_everything=0", "${args}")
    assert yaml.safe_load(Path(file).read_text()) == {"model.alpha": 1}


@pytest.mark.parametrize(
    ("search", "reason"),
    [
        ({"objectives": ["val/miou", "val/voi"]}, "one metric"),
        ({"seeds": (0, 1)}, "no mean over seeds"),
        ({"pruner": "MedianPruner"}, "Hyperband alone"),
        ({"sampler": "NSGAIISampler"}, "it has no NSGAIISampler"),
        ({"variants": {"a": {}}}, "variants beside its search"),
        ({"space": {"model.balancer": ["Sum", {"class_path": "PCGrad"}]}}, "model.balancer has choices"),
    ],
)
def test_where_there_is_no_equal_sweep_the_reason_is_said(search: Any, reason: str, searching: Any) -> None:
    plan = searching.plan(searching.study(**search))
    with pytest.raises(UsageError, match=f"^wandb-sweep: W&B has no equal sweep: .*{reason}"):
        search_sweep(plan, searching.folder)
