"""The model card of a run: what the hub shows, and what whoever uses the model has to know."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCard

from fusionseg.config.errors import UsageError
from fusionseg.config.recipe import import_path
from fusionseg.engine.hub_config import HubConfig
from fusionseg.runs.run_facts import RunFacts
from fusionseg.sample import Classes

OTHER = "other"
"""The hub's license of those that it does not list, which have a name and a link."""

TEMPLATE = Path(__file__).with_name("model_card.jinja")


@dataclass(frozen=True)
class Licenses:
    """Under which licenses a model is shared.

    Args:
        license: The hub's identifier of the license of the weights, such as `apache-2.0`, or `other`.
        license_name: Its name, of an `other` one.
        license_link: Where an `other` one can be read.
        data_license: The license of the training data, in words or as an identifier.

    Raises:
        UsageError: If `other` has no name or link, something else has one, or the identifier cannot be one.
    """

    license: str | None = None
    license_name: str | None = None
    license_link: str | None = None
    data_license: str | None = None

    def __post_init__(self) -> None:
        if self.license is not None and not re.fullmatch(r"[a-z0-9]+([.+-]+[a-z0-9]+)*\+*", self.license):
            raise UsageError(
                f"expected an identifier of the hub's, such as apache-2.0, cc-by-nc-4.0 or {OTHER}, found "
                f"{self.license!r}",
                "license",
            )
        for key in ("license_name", "license_link"):
            if (getattr(self, key) is None) is (self.license == OTHER):
                found = "none" if self.license == OTHER else f"one beside {self.license}"
                raise UsageError(f"expected one with the license {OTHER!r} and no other, found {found}", key)


def model_card(facts: RunFacts, config: HubConfig, model: Any, licenses: Licenses) -> ModelCard:
    """The card of a run's model.

    Args:
        facts: What the run folder says.
        config: What is saved beside the weights.
        model: The model, a `HubModule` with heads and classes.
        licenses: The licenses.
    """
    data: Any = model.generate_model_card().data
    for key in ("license", "license_name", "license_link"):
        data[key] = getattr(licenses, key)
    classifies = data.pipeline_tag == "image-classification"
    if classifies:  # tags of base classes are inherited
        data.tags = [tag for tag in data.tags if not tag.endswith("segmentation")]
    data.model_name = facts.name
    data.eval_results = _results(facts, data.pipeline_tag) or None
    package, _, name = import_path(type(model)).rpartition(".")
    classes: Classes = model.classes
    card: ModelCard = ModelCard.from_template(
        data,
        template_path=str(TEMPLATE),
        facts=facts,
        config=config,
        classes=classes,
        package=package,
        module=name,
        verb="Classifies" if classifies else "Segments",
        tasks=", ".join(f"{task} ({type(head).__name__})" for task, head in model.heads.items()),
        channels=(config.init_args.get("backbone") or {}).get("in_channels", 3),
        epoch=_epoch(facts),
        names=list(dict.fromkeys(name for one in facts.figures for name in one.values)),
        limits=_limits(facts, config),
        weights_license=_license_of_weights(licenses),
        data_license=_license_of_data(facts, licenses),
    )
    return card


def _results(facts: RunFacts, task: str) -> list[EvalResult]:
    """The figures as the hub reads them, of a task that it knows."""
    return [
        EvalResult(
            task_type=task,
            dataset_type=facts.dataset.lower(),
            dataset_name=facts.dataset,
            dataset_split=one.split,
            metric_type=name,
            metric_value=round(value, 6),
        )
        for one in facts.figures
        for name, value in one.values.items()
    ]


def _epoch(facts: RunFacts) -> str:
    """Which epoch the weights are of, and how it was chosen."""
    if facts.epoch is None:
        return "not recorded"
    planned = f" of {facts.epochs}" if facts.epochs and facts.epochs > 0 else ""
    return f"{facts.epoch}{planned}, the best one by `{facts.monitor}`"


def _limits(facts: RunFacts, config: HubConfig) -> list[str]:
    """What figures do not show."""
    chosen = "the epoch and the decoding" if (config.decoder or {}).get("parameters") else "the epoch"
    limits = [
        "This is one run of one seed: how far figures vary with the seed is not known from it, so that small "
        "differences to other models mean nothing.",
        f"Validation images chose {chosen}, so that figures of `val` are optimistic.",
        *(f"{note}." for note in facts.notes),
        f"Nothing was measured on other data than {facts.dataset}: other cameras, places and kinds of images "
        "may be far from these figures.",
        "This card says nothing of calibration, of robustness to noise and blur, and of fairness.",
    ]
    if facts.status != "finished":
        limits.insert(1, f"The training did not end as planned: it is {facts.status}.")
    return limits


def _license_of_weights(licenses: Licenses) -> str:
    if licenses.license is None:
        return "No license is given for the weights: ask the authors before you use them."
    if licenses.license == OTHER:
        return f"The weights are under [{licenses.license_name}]({licenses.license_link})."
    return f"The weights are under `{licenses.license}`."


def _license_of_data(facts: RunFacts, licenses: Licenses) -> str:
    if licenses.data_license is None:
        return (
            f"The license of the training data ({facts.dataset}) is not known here; it may restrict what its "
            "models are used for."
        )
    return f"The training data ({facts.dataset}) are under {licenses.data_license}."
