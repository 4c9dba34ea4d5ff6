from collections.abc import Mapping
from typing import Any

import pytest
import yaml

from fusionseg.config.errors import UsageError
from fusionseg.studies.search.checks import checked_space
from fusionseg.studies.search.declaration import Objective, Part, Search
from fusionseg.studies.search.space import Choice, Parameter, Range


def search(*space: Parameter, metric: str = "val/score") -> Search:
    return Search(space, 5, Part("TPESampler"), None, (Objective(metric, "maximize"),))


def outcome(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {"config": yaml.safe_dump(dict(settings)), "figures": ["val/score"], "steps": 3}


BETA = Range("model.beta", 0.1, 4.0)
DECODER = Choice("model.backbone.decoder", ["Unet", "SlimUnet", "FPN"])


def test_every_end_and_choice_is_built_once() -> None:
    built: list[Mapping[str, Any]] = []

    def build(settings: Mapping[str, Any]) -> dict[str, Any]:
        built.append(settings)
        return outcome(settings)

    checked_space(search(BETA, DECODER), build)
    assert [tuple(point.values()) for point in built] == [
        *((0.1, "Unet"), (4.0, "Unet"), (0.1, "SlimUnet"), (0.1, "FPN")),
    ]


def test_a_value_that_cannot_be_is_refused_by_its_key() -> None:
    def build(settings: Mapping[str, Any]) -> dict[str, Any]:
        return {"error": "no such decoder"} if settings.get(DECODER.key) == "FPN" else outcome(settings)

    with pytest.raises(UsageError, match=r"^search.space.model.backbone.decoder: 'FPN': no such decoder"):
        checked_space(search(BETA, DECODER), build)


def test_a_combination_that_cannot_be_is_left_to_its_trial() -> None:
    def build(settings: Mapping[str, Any]) -> dict[str, Any]:
        impossible = settings.get(DECODER.key) == "FPN" and settings.get(BETA.key) == 0.1
        return {"error": "an impossible combination"} if impossible else outcome(settings)

    assert checked_space(search(BETA, DECODER), build)["steps"] == 3


def test_a_parameter_that_changes_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match=r"^search.space.trainer.devices: this parameter changes nothing"):
        checked_space(search(BETA, Choice("trainer.devices", [1, 2])), outcome)


def test_an_objective_that_is_not_logged_is_refused() -> None:
    with pytest.raises(UsageError, match=r"^search.objectives: .*did you mean val/score"):
        checked_space(search(BETA, metric="val/scor"), outcome)
