"""The trials of a search in Optuna's storage: asked, reported and told by the driver."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fusionseg.config.errors import UsageError
from fusionseg.studies.sameness import check_meaning
from fusionseg.studies.search.declaration import Search
from fusionseg.studies.search.samplers import pruner_of, quiet, sampler_of

if TYPE_CHECKING:
    import optuna

OWNER = "owner"
"""The attribute of a trial that says which study folder computes it."""


class TrialStorage:
    """A study of Optuna, of which this process computes the trials of one folder.

    Args:
        search: The search.
        name: The study's name.
        journal: The file of the trials where the search names no database.
        owner: A text that no other folder has.

    Raises:
        UsageError: If the storage cannot be opened, or holds another search of this name.
    """

    def __init__(self, search: Search, name: str, journal: Path, owner: str) -> None:
        import optuna

        self.search = search
        self.owner = owner
        wanted = [one.direction for one in search.objectives]
        with quiet():
            self._storage = _opened(search.storage, journal)
            self.study = optuna.create_study(
                storage=self._storage,
                study_name=name,
                directions=wanted,
                pruner=pruner_of(search),
                load_if_exists=True,
            )
            self._id = self._storage.get_study_id_from_name(name)
            before = self.study.user_attrs.get("search")
            began = self.trials() or [one.name.lower() for one in self.study.directions] != wanted
            if before is None or not began:
                self.study.set_user_attr("search", search.meaning())
            else:
                check_meaning(search.meaning(), before, search.storage.split("@")[-1] or str(journal))

    def trials(self) -> "list[optuna.trial.FrozenTrial]":
        """All trials, in the order of their numbers; those of other folders too."""
        return self.study.get_trials(deepcopy=False)

    def open(self) -> list[int]:
        """The numbers of this folder's trials that were begun and not told."""
        from optuna.trial import TrialState

        running = [trial for trial in self.trials() if trial.state == TrialState.RUNNING]
        return [trial.number for trial in running if trial.user_attrs.get(OWNER) == self.owner]

    def ask(self) -> int:
        """Begins a trial, which belongs to this folder from its first moment on; returns its number."""
        from optuna.trial import TrialState, create_trial

        begun = create_trial(state=TrialState.RUNNING, user_attrs={OWNER: self.owner})
        with quiet():
            return self._storage.get_trial(self._storage.create_new_trial(self._id, begun)).number

    def drawn(self, number: int) -> tuple[dict[str, Any], dict[str, Any]]:
        """The settings of a trial, and its parameters as Optuna knows them; draws those that are not yet."""
        import optuna

        with quiet():
            self.study.sampler = sampler_of(self.search, number)
            trial = optuna.Trial(self.study, self._trial_id(number))
            settings = {one.key: one.suggested(trial) for one in self.search.space}
            return settings, dict(trial.params)

    def report(self, number: int, values: Mapping[int, float]) -> bool:
        """Reports the objective of a trial by epochs; returns whether the pruner gives the trial up."""
        with quiet():
            trial_id = self._trial_id(number)
            known = self._storage.get_trial(trial_id).intermediate_values
            for epoch, value in values.items():
                if known.get(epoch) != value:
                    self._storage.set_trial_intermediate_value(trial_id, epoch, value)
            return self.study.pruner.prune(self.study, self._storage.get_trial(trial_id))

    def complete(self, number: int, values: Sequence[float]) -> None:
        """Tells the objectives of a trial."""
        if not all(map(math.isfinite, values)):
            self.fail(number, f"expected numbers, found {', '.join(map(str, values))}")
            return
        with quiet():
            self.study.tell(number, list(values), skip_if_finished=True)

    def prune(self, number: int) -> None:
        """Tells that a trial was given up."""
        from optuna.trial import TrialState

        with quiet():
            self.study.tell(number, state=TrialState.PRUNED, skip_if_finished=True)

    def fail(self, number: int, reason: str) -> None:
        """Tells that a trial failed, and why."""
        from optuna.trial import TrialState

        with quiet():
            self._storage.set_trial_user_attr(self._trial_id(number), "reason", reason)
            self.study.tell(number, state=TrialState.FAIL, skip_if_finished=True)

    def _trial_id(self, number: int) -> int:
        return self._storage.get_trial_id_from_study_id_trial_number(self._id, number)


def _opened(url: str, journal: Path) -> "optuna.storages.BaseStorage":
    import optuna
    from optuna.storages.journal import JournalFileBackend

    if not url:
        _mend(journal)
        return optuna.storages.JournalStorage(JournalFileBackend(str(journal)))
    try:
        return optuna.storages.get_storage(url)
    except Exception as error:  # of SQLAlchemy or the driver of a database, which may be missing
        reason = str(error).strip().splitlines()[0]
        raise UsageError(f"{url.split('@')[-1]} cannot be opened: {reason}", "search.storage") from error


def _mend(journal: Path) -> None:
    """Removes what a driver that was killed while it wrote left: half a line, and its lock.

    Only the driver that holds the study's folder writes to the journal.
    """
    journal.parent.mkdir(parents=True, exist_ok=True)
    journal.with_name(f"{journal.name}.lock").unlink(missing_ok=True)
    if journal.is_file() and not (content := journal.read_bytes()).endswith(b"\n"):
        with journal.open("rb+") as file:
            file.truncate(content.rfind(b"\n") + 1)
