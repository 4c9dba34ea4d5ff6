"""The study files of the package: what their variants set is known, and the figure that decides is logged."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from fusionseg.studies.axes import Variant
from fusionseg.studies.plan import arguments
from fusionseg.studies.resolve import _resolved
from fusionseg.studies.study_file import Study, read_study

STUDIES = sorted((Path(__file__).parents[2] / "experiments" / "studies").glob("*.yaml"))
ROOTS = {"camvid": "CamVid", "coco_panoptic": "coco_panoptic", "bsds500": "BSDS500", "dsb2018": "dsb2018"}
BASES = {path: Path(yaml.safe_load(path.read_text())["base"]).stem for path in STUDIES}


@pytest.mark.slow
@pytest.mark.parametrize("base", sorted(set(BASES.values())))
def test_what_the_studies_of_the_package_set_is_known(base: str, request: pytest.FixtureRequest) -> None:
    more: dict[str, Any] = {"model.backbone.weights": None}
    if base in ROOTS:
        more["data.dataset.root"] = str(request.getfixturevalue("data") / ROOTS[base])
    known: set[str] = set()
    for path in (path for path in STUDIES if BASES[path] == base):
        study = read_study(path, more)
        first = study.variants[0] if study.variants else Variant("search", {})
        logged: set[str] = set()
        for turn, variant in enumerate((*study.variants, first)):
            again = turn == len(study.variants)  # whatever is known of it
            if study.metric in logged if again else _said(study, variant) <= known:
                continue
            known |= _said(study, variant)
            found = _resolved(arguments(study, variant))
            assert "error" not in found, f"{path.stem}, {variant.name}: {found['error']}"
            untrained = variant.settings.get("model") == "fusionseg.untrained.UntrainedModule"
            assert found["figures"] or untrained  # which tells nothing before
            logged.update(found["figures"])
        assert study.metric in logged, path.stem


def _said(study: Study, variant: Variant) -> set[str]:
    """What a variant sets: the keys of numbers, and other values with theirs."""
    settings = {**study.settings, **variant.settings}
    numbers = {key for key, value in settings.items() if type(value) in (int, float)}
    return numbers | {f"{key}={value}" for key, value in settings.items() if key not in numbers}
