import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fusionseg.config.errors import UsageError
from fusionseg.studies.search.declaration import Objective, Part, Search
from fusionseg.studies.search.samplers import check_parts, sampler_of
from fusionseg.studies.search.space import Range


def search(sampler: str = "TPESampler", pruner: Part | None = None, **arguments: Any) -> Search:
    objectives = (Objective("val/score", "maximize"),)
    return Search((Range("model.beta", 0.1, 4.0),), 5, Part(sampler, arguments), pruner, objectives)


@pytest.mark.parametrize(
    "name", ["TPESampler", "RandomSampler", "NSGAIISampler", "NSGAIIISampler", "QMCSampler"]
)
def test_samplers_of_optuna_can_be_used_by_their_names(name: str) -> None:
    check_parts(search(name))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (search("TPESamplr"), r"^search.sampler: no such sampler of Optuna; did you mean TPESampler\?"),
        (search(seeds=3), "^search.sampler: TPESampler cannot be built: .*seeds"),
        (
            search(pruner=Part("MedianPrunr")),
            r"^search.pruner: no such pruner .* did you mean MedianPruner\?",
        ),
        (search(pruner=Part("ThresholdPruner")), "^search.pruner: ThresholdPruner cannot be built"),
    ],
)
def test_what_optuna_does_not_take_is_one_line(given: Search, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        check_parts(given)


def test_without_optuna_one_line_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(
        UsageError, match=r'^search: a search needs optuna: pip install "fusionseg\[study\]"$'
    ):
        check_parts(search())


@pytest.mark.slow
def test_a_study_without_a_search_imports_no_optuna() -> None:
    lines = [
        "import sys",
        "import fusionseg.commands.study, fusionseg.studies.report.build",
        "from fusionseg.studies.study_file import read_study",
        "from pathlib import Path",
        "read_study(Path('experiments/studies/synthetic_sharing.yaml'))",
        "sys.exit('optuna' in sys.modules)",
    ]
    root = Path(__file__).parents[3]
    assert subprocess.run([sys.executable, "-c", "\n".join(lines)], cwd=root).returncode == 0


def first_draw(number: int, **arguments: Any) -> float:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=sampler_of(search(**arguments), number))
    return study.ask().suggest_float("x", 0, 1)


def test_chance_is_a_function_of_the_seed_and_the_trial_s_number() -> None:
    assert first_draw(3) == first_draw(3)
    assert len({first_draw(0), first_draw(1), first_draw(0, seed=1), first_draw(1, seed=1)}) == 4
