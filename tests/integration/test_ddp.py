"""Two ranks against one process, for parts that we combine: see `ddp_ranks.py` for what a case trains."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

from fusionseg import balancing, heads
from fusionseg.balancing import Balancer, GradientBalancer
from fusionseg.heads import BoundaryHead, CenterOffsetHead, MaskRCNNHead, RegionHead

SMALL = "tu-test_efficientnet"
VIT = "tu-test_vit"
TWO = "semantic+boundary fixed double"
NAMED = {"boundary": BoundaryHead, "center": CenterOffsetHead, "boxes": MaskRCNNHead}
REGIONS = {*NAMED, *(kind.__name__ for kind in RegionHead.__subclasses__() if kind.__name__ in heads.__all__)}
REGIONS -= {kind.__name__ for kind in NAMED.values()}
CASES = (
    "tu-test_resnet Unet semantic+boundary fixed l1",
    f"{SMALL} DeepLabV3Plus semantic fixed",
    "efficientnet-b0 PSPNet semantic+boundary local held",
    f"{SMALL} Unet semantic+boundary fixed double MGDA:branch apart",
    f"{SMALL} Unet semantic+boundary+depth+normals fixed double MGDA:branch apart",
    *(f"{SMALL} FPN {name} fixed double" for name in sorted(REGIONS - NAMED.keys())),
    # batch norms of pyramids see a value of each image, and those of an encoder many
    "tu-test_resnet Unet semantic+boundary synced double held",
    f"{SMALL} DeepLabV3Plus semantic+center synced double held",
    f"{SMALL} PSPNet semantic+boundary synced double held",
    f"{SMALL} Unet boundary fixed double",
    f"{SMALL} Unet {TWO} start decayed taught",
    f"{SMALL} Unet {TWO} start taught CAGrad:parameters",
    "tu-test_resnet Unet semantic+boundary synced double anew",
    "tu-test_resnet Unet semantic+boundary synced double mean",
    "tu-test_resnet Unet semantic+boundary synced double mean unlabelled",
    "tu-test_resnet LightPyramid semantic+boundary synced double kept",
    f"{SMALL} FPN center fixed",
    f"{VIT} FPN semantic+boundary fixed double decayed held",
    f"{SMALL} FPN boxes fixed double",
    f"{SMALL} Unet classifier fixed double",
    f"{SMALL} FPN semantic+boxes fixed double CAGrad:parameters",
    # all balancers that remember or draw something, each at one of the two levels, which are the same code for all
    # of them; the others know nothing but what these are told too
    *(f"{SMALL} Unet {TWO} {name}:" for name in ("DWA", "FAMO", "IMTLL", "RLW", "GLS")),
    *(f"{SMALL} Unet {TWO} {way}:parameters" for way in ("PCGrad", "GradVac", "TorchJDWeighting")),
    f"{SMALL} FPN semantic+center fixed double GradNorm:branch apart",
    *(
        f"{SMALL} FPN semantic+center fixed double {way}"
        for way in (
            "MTAN MGDA:branch",
            "CrossStitch UW:",
            "CrossStitch CAGrad:parameters",
            "PADNet UW:",
            "CrossTaskAttention CAGrad:parameters",
        )
    ),
)


class Runs(NamedTuple):
    """What one process has come to, and each of two ranks."""

    one: dict[str, Any]
    two: list[dict[str, Any]]


def trained(folder: Path) -> dict[str, Runs]:
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, str(Path(__file__).with_name("ddp_ranks.py")), str(folder), *CASES]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=1100)
    assert done.returncode == 0, done.stderr
    assert "find_unused_parameters" not in done.stderr
    names = ("1-0", "2-0", "2-1")
    found = {
        case: [torch.load(folder / f"{case}-{name}.pt", weights_only=True) for name in names]
        for case in CASES
    }
    return {case: Runs(one, two) for case, (one, *two) in found.items()}


@pytest.fixture(scope="module")
def all_runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Runs]:
    return trained(tmp_path_factory.mktemp("ranks"))


@pytest.fixture
def runs(case: str, all_runs: dict[str, Runs]) -> Runs:
    return all_runs[case]


def cases(*words: str, without: str = "") -> pytest.MarkDecorator:
    """The cases with all of some words, marked as slow: two ranks are started once for all of them."""
    chosen = (case for case in CASES if set(words) <= set(case.split()) and without not in case.split())
    return pytest.mark.parametrize("case", [pytest.param(case, marks=pytest.mark.slow) for case in chosen])


def test_every_balancer_that_remembers_or_draws_is_among_them() -> None:
    words = {word.partition(":")[0] for case in CASES for word in case.split()}
    kinds = [getattr(balancing, name) for name in balancing.__all__]
    for kind in kinds:
        if kind in (Balancer, GradientBalancer, balancing.TorchJDWeighting):
            continue
        balancer, before = kind(2), torch.random.get_rng_state()
        balancer(torch.ones(2), torch.ones(2, dtype=torch.bool))
        if isinstance(balancer, GradientBalancer):
            balancer.weigh(torch.eye(2, dtype=torch.float64))
        draws = not torch.equal(torch.random.get_rng_state(), before)
        assert kind.__name__ in words or not (draws or list(balancer.buffers())), kind


@cases(without="local")
def test_two_ranks_take_the_same_steps_as_one_process(runs: Runs, case: str) -> None:
    # a network of ReLU and batch norm blows up what single precision rounds, more so the further it moves
    exact = 1e-9 if "double" in case else 1e-6
    assert runs.one["steps"] == 6
    assert max(runs.one["moved"][-1].values()) > 100 * exact
    for rank in runs.two:
        assert rank["steps"] == 6
        assert rank["state"].keys() == runs.one["state"].keys()
        for name, value in runs.one["state"].items():
            torch.testing.assert_close(rank["state"][name], value, rtol=0, atol=exact)
        assert rank["latest"] == pytest.approx(runs.one["latest"], rel=1e-4)


@cases()
def test_ranks_do_not_part(runs: Runs) -> None:
    one, other = runs.two
    for name, value in one["state"].items():
        assert torch.equal(other["state"][name], value), name
    assert one["latest"] == other["latest"]
    np.testing.assert_equal(one["figures"], other["figures"])


@cases(without="kept")  # whose features are rounded while a model is fitted alone
def test_two_ranks_measure_exactly_what_one_process_does(runs: Runs, case: str) -> None:
    words = case.split()[2].split("+")
    wanted = {"semantic": {"miou"}, "depth": {"depth_rmse"}, "normals": {"normals_mean"}}
    wanted |= {word: {"covering", "boundary_f"} for word in REGIONS} | {"classifier": {"scene_map"}}
    names = {"loss"}.union(*(wanted[word] for word in words), {"pq"} if len(words) > 1 else ())
    assert {f"val/{name}" for name in names} < runs.one["figures of two"].keys()
    for rank in runs.two:
        np.testing.assert_equal(rank["figures"], runs.one["figures of two"])


@cases(without="unlabelled")  # whose batches are others
def test_ranks_divide_by_the_weight_of_the_global_batch(runs: Runs, case: str) -> None:
    first, second = (rank["shares"] for rank in runs.two)
    torch.testing.assert_close(first + second, runs.one["shares"], rtol=1e-6, atol=0)
    words = case.split()[2].split("+")
    if words == ["classifier"]:  # every image has a label
        return
    if "semantic" in words:
        semantic = 0
        assert first[1, semantic].max() == 0 < second[1, semantic].max()
    if words != ["semantic"]:
        region = next(i for i, word in enumerate(words) if word in REGIONS)
        assert second[0, region].max() == 0 < first[0, region].max()
        assert runs.one["shares"][2, region].max() == 0
    for task in set(words) & {"depth", "normals"}:
        step, one, other = (0, first, second) if task == "depth" else (1, second, first)
        assert other[step, words.index(task)].max() == 0 < one[step, words.index(task)].max()
    # else a mean of the ranks' means would do as well
    assert any((a != b).any() for a, b in zip(first, second, strict=True) if a.any() and b.any())


@cases("kept")
def test_features_that_two_ranks_kept_are_those_of_one_process(runs: Runs, case: str) -> None:
    assert [name.split("-")[1] for name in runs.one["kept"]] == ["train", "train", "val"]
    assert all(rank["kept"] == runs.one["kept"] for rank in runs.two)
    assert runs.one["figures"] == pytest.approx(runs.two[0]["figures"], rel=1e-5, nan_ok=True)


@cases("held")
def test_a_held_encoder_learns_in_step_on_both_ranks_afterwards(runs: Runs, case: str) -> None:
    for run in (runs.one, *runs.two):
        held, free = run["moved"]
        encoder = {name for name in free if ".encoder." in name and ".neck." not in name}
        assert not any(held[name] for name in encoder)
        assert all(held[name] for name in set(run["learned"]) - encoder)
        assert all(free[name] for name in run["learned"])
        unused = encoder - set(run["learned"])
        assert not any(free[name] for name in unused if name.endswith(("weight", "bias")))
        assert ("efficientnet-b0" in case) == any("_conv_head" in name for name in unused)


def statistics(run: Path, *words: str) -> dict[str, torch.Tensor]:
    """The batch statistics after one step of a training from the command line, in float64."""
    fixed = "--trainer.precision 64-true --trainer.max_steps 1 --trainer.accelerator cpu"
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "fusionseg.fit", *words, *fixed.split(), "--out", str(run)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    state = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    return {name: value for name, value in state.items() if "running_" in name}


@pytest.mark.slow
def test_batch_norm_of_few_images_on_each_rank_is_that_of_one_process(
    tiny: list[str], tmp_path: Path
) -> None:
    expected = statistics(tmp_path / "one", *tiny)
    assert expected
    found = statistics(tmp_path / "two", *tiny, "--trainer.devices", "2")
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)
