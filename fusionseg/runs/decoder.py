"""The tuned decoder of a run, `decoder.yaml`: parameters and temperatures that validation images chose."""

import dataclasses
import hashlib
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, TypeAlias

import yaml

from fusionseg.config.errors import UsageError, UserError, mapping
from fusionseg.engine.decoding import Parameters, decode_with, set_temperatures
from fusionseg.files.atomic import Json, write_text
from fusionseg.runs.folder import RunFolder

Which: TypeAlias = Literal["best", "last"]

HEADER = """\
# Parameters and temperatures that `fusionseg tune` chose on validation images. `evaluate` and `predict` go by
# them; `fusionseg tune --run DIR --reset` removes them.
"""


@dataclass(frozen=True)
class Decoder:
    """A tuned decoder.

    Attributes:
        parameters: The parameters by task and name.
        untuned: What they are in the run's configuration.
        metric: The figure that decided, such as `val/score`.
        before: Validation figures without tuning.
        after: Validation figures with these parameters.
        images: How many images these are of.
        trials: How many parameters were tried.
        seed: What was drawn with.
        checkpoint: The checkpoint whose outputs were decoded, `best` or `last`.
        digest: The SHA-256 digest of its file.
        calibration: The `temperature` that divides the logits of a task's probabilities, and the mean
            negative log-likelihood of validation pixels without and with it (`nll_before`, `nll_after`).
        fusionseg: The version that tuned.
    """

    parameters: Parameters
    untuned: Parameters
    metric: str
    before: dict[str, float]
    after: dict[str, float]
    images: int
    trials: int
    seed: int
    checkpoint: Which
    digest: str
    calibration: Parameters = dataclasses.field(default_factory=dict)
    fusionseg: str = dataclasses.field(default_factory=lambda: version("fusionseg"))

    @property
    def temperatures(self) -> dict[str, Any]:
        """The temperature of each task that has one."""
        return {task: values.get("temperature") for task, values in self.calibration.items()}

    @property
    def record(self) -> Json:
        """What results say that are decoded with it."""
        found: Json = {"parameters": self.parameters, "metric": self.metric, "trials": self.trials}
        return found | ({"temperatures": self.temperatures} if self.temperatures else {})

    def line(self, split: str = "") -> str:
        """What a command says that decodes with it, and measures a split."""
        warning = ", so that figures of these images are optimistic" if split == "val" else ""
        of_all = {task: {"temperature": value} for task, value in self.temperatures.items()}
        if not self.parameters:
            fitted = f"fitted to the likelihood of {self.images} validation images"
            return f"tuned probabilities ({shown(of_all)}): {fitted}"
        values = ", ".join(filter(None, [shown(self.parameters), shown(of_all)]))
        chosen = f"chosen by {self.metric} among {self.trials} on validation images{warning}"
        return f"tuned decoder ({values}): {chosen}"

    def write(self, run: RunFolder) -> None:
        """Writes it into a run folder, in place of an earlier one."""
        write_text(run.decoder, HEADER + yaml.safe_dump(dataclasses.asdict(self), sort_keys=False))

    @classmethod
    def of(cls, run: RunFolder) -> "Decoder | None":
        """The decoder of a run; None if it is not tuned.

        Raises:
            UserError: If its file holds something else.
        """
        if not run.decoder.is_file():
            return None
        return cls.recorded(mapping(run.decoder), run.decoder)

    @classmethod
    def recorded(cls, content: Json, source: Path) -> "Decoder":
        """The decoder that a record is of.

        Args:
            content: The record, which may be anybody's.
            source: The file that it is from, for messages.

        Raises:
            UserError: If it is something else.
        """
        names = {field.name for field in dataclasses.fields(cls)}
        found = ", ".join(map(str, content)) or "nothing"
        content.setdefault("calibration", {})  # which earlier versions did not fit
        tables = [content.get(key) for key in ("parameters", "untuned", "calibration")]
        whole = names == content.keys() and all(
            isinstance(table, dict) and all(isinstance(values, dict) for values in table.values())
            for table in tables
        )
        if not whole:
            raise UserError(
                f"{source}: expected what `fusionseg tune` writes, {', '.join(sorted(names))}, found "
                f"{found}: tune again, or remove the file"
            )
        return cls(**content)


def shown(parameters: Parameters) -> str:
    """Parameters in words.

    >>> shown({"region": {"threshold": 0.8124, "min_area": 20}})
    'region.threshold 0.812, region.min_area 20'
    """
    return ", ".join(
        f"{task}.{name} {value:.3g}" if isinstance(value, float) else f"{task}.{name} {value}"
        for task, values in parameters.items()
        for name, value in values.items()
    )


def digest(checkpoint: Path) -> str:
    """The SHA-256 digest of a file."""
    with checkpoint.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def tuned(model: Any, run: RunFolder, which: Which | None = None) -> Decoder | None:
    """Lets a model decode as the run's `decoder.yaml` says.

    Args:
        model: The run's model.
        run: The run.
        which: The checkpoint that its weights are from; left out where it has none.

    Returns:
        The decoder; None if the run is not tuned.

    Raises:
        UserError: If it was tuned for another checkpoint or other parameters, or cannot be used.
    """
    decoder = Decoder.of(run)
    if decoder is None:
        return None
    heads: dict[str, Any] = getattr(model, "heads", {})
    remedy = "tune again (fusionseg tune), or leave it out with --untuned true"
    if which and decoder.digest != digest(run.checkpoint(which)):
        other = "an earlier one" if decoder.checkpoint == which else f"{decoder.checkpoint}.ckpt"
        raise UserError(f"{run.decoder} was tuned for {other}, not for this {which}.ckpt: {remedy}")
    for task, values in decoder.untuned.items():
        for name, value in values.items():
            own = getattr(heads.get(task), name, value)
            if own != value:
                raise UsageError(
                    f"is {own} here, and was {value} when {run.decoder} was tuned: {remedy}", f"{task}.{name}"
                )
    set_temperatures(heads, decoder.temperatures, run.decoder)
    decode_with(heads, decoder.parameters, run.decoder)
    return decoder
