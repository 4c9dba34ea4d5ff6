"""A run's model, ready to be saved or pushed with everything that others need."""

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from fusionseg.config.errors import UsageError
from fusionseg.engine.hub_module import HubModule
from fusionseg.runs.folder import RunFolder
from fusionseg.runs.model_card import Licenses, model_card
from fusionseg.runs.run_facts import run_facts
from fusionseg.runs.trained_model import trained_model


def shareable(
    run: str | Path, licenses: Licenses | None = None, untuned: bool = False, trust: Iterable[str] = ()
) -> HubModule:
    """The best model of a run, with its card: `save_pretrained` and `push_to_hub` are all that is left.

    Args:
        run: The run folder. It may be anybody's: only classes of trusted packages are built.
        licenses: What the card says of licenses; that they are not known where left out.
        untuned: Whether a tuned decoder is left out.
        trust: Packages to trust beside those of `fusionseg.config.trust`.

    Raises:
        UsageError: If its model is no FusionModule.
        ValueError: If the run cannot be read.
        OSError: If there is no run or no checkpoint.
    """
    folder = RunFolder(run)
    folder.configuration()
    found = trained_model(folder.path, untuned, trust)
    if not isinstance(found.model, HubModule):
        raise UsageError(f"expected a run of a FusionModule, found {type(found.model).__name__}", "run")
    facts = run_facts(folder, found.decoder)
    found.model.inference = {
        **(found.model.inference or {}),
        "precision": found.data.get("precision"),
        "decoder": asdict(found.decoder) if found.decoder else None,
    }
    found.model.card = model_card(facts, found.model.hub_config(), found.model, licenses or Licenses())
    return found.model
