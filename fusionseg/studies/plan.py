"""The runs of a study: each variant and seed with its key and its folder, checked before anything runs."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import uuid4

from fusionseg.config.errors import UsageError
from fusionseg.files.atomic import Json
from fusionseg.studies.axes import Variant
from fusionseg.studies.folder import StudyFolder
from fusionseg.studies.identity import key_of, settings_of
from fusionseg.studies.occupied import another_run
from fusionseg.studies.sameness import check_same
from fusionseg.studies.search.space import as_text
from fusionseg.studies.study_file import Study


@dataclass(frozen=True)
class PlannedRun:
    """One run that a study asks for.

    Attributes:
        variant: Its variant.
        seed: Its seed.
        key: The hash of all that its figures depend on.
        folder: Its run folder, relative to the study's.
        arguments: Those of `fit`, without `--out`.
    """

    variant: str
    seed: int
    key: str
    folder: str
    arguments: tuple[str, ...]

    def declared(self) -> Json:
        """What the folder keeps of the run."""
        return {"variant": self.variant, "seed": self.seed, "key": self.key, "folder": self.folder}


@dataclass(frozen=True)
class Plan:
    """A study whose variants can all be built.

    Attributes:
        study: The study.
        runs: Its runs, seed by seed, so that all variants have as many of them at any time.
        configs: The resolved configuration of each variant as YAML.
        settings: Its settings by keys with dots, without those that are free.
        parameters: The number of parameters of each.
        steps: The training steps of each, None where they are not known before.
        budget_steps: Those that a budget of minutes was turned into.
        trials: What the folder keeps of the variants that a search has drawn so far.
        trial_runs: What it keeps of their runs.
        point: What came of a search's command line at one point of its space; empty without a search.
        owner: A text by which a search tells the folder's trials from those of others.
    """

    study: Study
    runs: tuple[PlannedRun, ...]
    configs: Mapping[str, str]
    settings: Mapping[str, Json]
    parameters: Mapping[str, int]
    steps: Mapping[str, int | None]
    budget_steps: Mapping[str, int]
    trials: Sequence[Json] = ()
    trial_runs: Sequence[Json] = ()
    point: Json = field(default_factory=dict)
    owner: str = ""

    def declared(self) -> Json:
        """What the folder keeps of the study."""
        named = {variant.name: variant for variant in self.study.variants}
        return {
            **self.study.declared(),
            **({"base": settings_of(self.point["config"]), "owner": self.owner} if self.point else {}),
            "budget_steps": dict(self.budget_steps),
            "variants": [
                {
                    "name": name,
                    "settings": dict(variant.settings),
                    "point": dict(variant.point),
                    "parameters": self.parameters[name],
                    "steps": self.steps[name],
                    "resolved": dict(self.settings[name]),
                }
                for name, variant in named.items()
            ]
            + list(self.trials),
            "runs": [run.declared() for run in self.runs] + list(self.trial_runs),
        }


def arguments(study: Study, variant: Variant, steps: int | None = None) -> list[str]:
    """The arguments of `fit` for a variant, without seed and folder."""
    words = [word for file in study.base for word in ("--config", str(file))]
    if study.precision:
        words.append(f"--trainer.precision={study.precision}")
    if epochs := study.budget.get("epochs"):
        words.append(f"--trainer.max_epochs={epochs}")
    if number := steps or study.budget.get("steps"):
        words += ["--trainer.max_epochs=-1", f"--trainer.max_steps={number}"]
    settings = {**study.settings, **variant.settings}
    return words + [f"--{key}={as_text(value)}" for key, value in settings.items()]


def planned(
    study: Study,
    found: Mapping[str, Json],
    steps: Mapping[str, int],
    folder: StudyFolder,
    point: Json | None = None,
) -> Plan:
    """The runs of a study that begins or goes on in a folder.

    Args:
        study: The study, with the precision that its runs are computed in.
        found: What came of each variant's command line.
        steps: Steps of each variant, where the budget is a time.
        folder: The folder, which may hold this study, as it was, and others.
        point: What came of a search's command line at one point of its space.

    Raises:
        UsageError: If the study in the folder is another one of this name; it names what differs.
    """
    settings = {name: settings_of(outcome["config"]) for name, outcome in found.items()}
    base = settings_of(point["config"]) if point else {}
    before = folder.declared(study.name) if study.name in folder.names() else {}
    if before:
        check_same(study, settings, base, before, folder.path)
    trials = [variant for variant in before.get("variants", []) if "trial" in variant]
    drawn = {trial["name"] for trial in trials}
    runs = runs_of(study, study.variants, settings, folder, steps)
    return Plan(
        study,
        tuple(runs),
        {name: outcome["config"] for name, outcome in found.items()},
        settings,
        {name: outcome["parameters"] for name, outcome in found.items()},
        {name: outcome["steps"] for name, outcome in found.items()},
        steps,
        trials,
        [run for run in before.get("runs", []) if run["variant"] in drawn],
        point or {},
        before.get("owner") or uuid4().hex,
    )


def runs_of(
    study: Study,
    variants: Sequence[Variant],
    settings: Mapping[str, Json],
    folder: StudyFolder,
    steps: Mapping[str, int] | None = None,
) -> list[PlannedRun]:
    """The runs of variants, seed by seed; one that the folder holds already has that one's place.

    What lies in a place is compared first: where it is another run, a line says so and it is left alone.

    Args:
        study: The study.
        variants: Its variants.
        settings: The resolved settings of each.
        folder: The folder.
        steps: Steps of each variant, where the budget is a time.
    """
    taken = {run["folder"]: run["key"] for name in folder.names() for run in folder.declared(name)["runs"]}
    paid = {key: name for name, key in taken.items()}
    runs = []
    for seed in study.seeds:
        for variant in variants:
            key = key_of(settings[variant.name], seed)
            names = [paid.get(key), f"{variant.name}/{seed}", f"{variant.name}/{seed}-{key[:6]}"]
            place = _free([n for n in names if n], (key, seed, settings[variant.name]), folder, taken)
            taken[place] = key
            words = [*arguments(study, variant, (steps or {}).get(variant.name)), f"--seed_everything={seed}"]
            runs.append(PlannedRun(variant.name, seed, key, place, tuple(words)))
    return runs


def common_precision(found: Mapping[str, Json]) -> str:
    """The one precision that all variants come to.

    Raises:
        UsageError: If they come to several.
    """
    kinds = sorted({outcome["precision"] for outcome in found.values()})
    if len(kinds) > 1:
        raise UsageError(f"expected one for all variants, found {' and '.join(kinds)}", "precision")
    return str(kinds[0])


def _free(
    names: Sequence[str], run: tuple[str, int, Json], folder: StudyFolder, taken: Mapping[str, str]
) -> str:
    """The first of several folders for a run that no other run has.

    Args:
        names: The folders, relative to the study's.
        run: Its key, its seed and its settings.
        folder: The study's folder.
        taken: The keys of the runs that studies have in folders.

    Raises:
        UsageError: If other runs have all of them.
    """
    key, seed, settings = run
    for name in dict.fromkeys(names):
        if taken.get(name, key) != key:
            continue
        found = another_run(folder.path / name, settings, seed)
        if not found:
            return name
        print(f"{folder.path / name} holds another run ({found}): it is left alone", file=sys.stderr)
    raise UsageError(
        f"{folder.path}: expected a place for the run {names[-1]}, found other runs: use another --out"
    )
