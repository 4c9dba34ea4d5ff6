"""The study files of the package: what their variants set is known, and the figure that decides is logged."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from fusionseg.studies.plan import arguments
from fusionseg.studies.resolve import _resolved
from fusionseg.studies.study_file import read_study

STUDIES = sorted((Path(__file__).parents[2] / "experiments" / "studies").glob("*.yaml"))
ROOTS = {"camvid": "CamVid", "coco_panoptic": "coco_panoptic", "bsds500": "BSDS500", "dsb2018": "dsb2018"}
BASES = {path: Path(yaml.safe_load(path.read_text())["base"]).stem for path in STUDIES}


def said(settings: Mapping[str, Any]) -> set[str]:
    """What settings set: the keys of numbers, and other values with theirs."""
    numbers = {key for key, value in settings.items() if isinstance(value, int | float)}
    return numbers | {f"{key}={value}" for key, value in settings.items() if key not in numbers}


@pytest.mark.slow
@pytest.mark.parametrize("base", sorted(set(BASES.values())))
def test_what_the_studies_of_the_package_set_is_known(base: str, request: pytest.FixtureRequest) -> None:
    more: dict[str, Any] = {"model.backbone.weights": None}
    if base in ROOTS:
        more["data.dataset.root"] = str(request.getfixturevalue("data") / ROOTS[base])
    known: set[str] = set()
    for path in (path for path in STUDIES if BASES[path] == base):
        study = read_study(path, more)
        for variant in study.variants:
            own = said({**study.settings, **variant.settings})
            if own <= known:
                continue
            known |= own
            found = _resolved(arguments(study, variant))
            assert "error" not in found, f"{path.stem}, {variant.name}: {found['error']}"
            if not found["figures"]:  # of a model without training, which tells nothing before
                assert variant.settings["model"] == "fusionseg.untrained.UntrainedModule"
                continue
            wanted = study.metric if variant.name not in study.baselines.values() else "val/score"
            assert wanted in found["figures"], variant.name
