"""A trained model from wherever it lies: a run folder, a checkpoint, or a folder of `save_pretrained`."""

import inspect
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from huggingface_hub.constants import CONFIG_NAME, SAFETENSORS_SINGLE_FILE

from fusionseg.config.errors import mapping
from fusionseg.config.trust import imported, untrusted
from fusionseg.engine.decoding import decode_with, set_temperatures
from fusionseg.engine.hub_config import HubConfig
from fusionseg.engine.hub_module import HubModule
from fusionseg.files.atomic import Json
from fusionseg.files.state_dicts import WeightsError, unusable
from fusionseg.runs.decoder import Decoder, digest, tuned
from fusionseg.runs.folder import RunFolder
from fusionseg.runs.restore import restored


class TrainedModel(NamedTuple):
    """A model that is ready to answer.

    Attributes:
        model: The model.
        file: The file of its weights.
        data: How images came to it in training: `scale`, `resize`, `value_range`, `depth_limit` and
            `precision`, where they are known; a checkpoint alone does not know its precision.
        decoder: The tuned decoder that it decodes with, if there is one.
        is_tuned: Whether there is one, left out or not.
    """

    model: Any
    file: Path
    data: Json
    decoder: Decoder | None
    is_tuned: bool = False

    @property
    def digest(self) -> str:
        """The digest of the file of weights, and of what a saved folder has beside them."""
        config = self.file.with_name(CONFIG_NAME)
        is_saved = self.file.name == SAFETENSORS_SINGLE_FILE and config.is_file()
        return f"{digest(self.file)} {digest(config)}" if is_saved else digest(self.file)


def trained_model(source: Path, untuned: bool = False, trust: Iterable[str] = ()) -> TrainedModel:
    """The model of a run folder (its best checkpoint), of a checkpoint, or of a folder of `save_pretrained`.

    Args:
        source: The folder or file. It may be anybody's: only classes of trusted packages are built.
        untuned: Whether a tuned decoder is left out.
        trust: Packages to trust beside those of `fusionseg.config.trust`.

    Raises:
        ValueError: If it holds no such model.
        OSError: If there is no such file.
    """
    if not source.exists():
        raise FileNotFoundError(f"expected a run folder, a checkpoint or a saved model, found no {source}")
    if source.is_file():
        model, data = restored(source, None, trust)
        return TrainedModel(model, source, data, None)
    run = RunFolder(source)
    if (source / CONFIG_NAME).is_file() and not run.config.is_file():
        return _saved(source, untuned, trust)
    trainer = mapping(run.configuration()).get("trainer") or {}
    file = run.checkpoint()
    model, data = restored(file, source, trust)
    decoder = None if untuned else tuned(model, run, "best")
    if isinstance(model, HubModule):
        model.inference = {**(model.inference or {}), "decoder": asdict(decoder) if decoder else None}
    if (precision := trainer.get("precision")) is not None:
        data["precision"] = str(precision)
    return TrainedModel(model, file, data, decoder, run.decoder.is_file())


def _saved(folder: Path, untuned: bool, trust: Iterable[str]) -> TrainedModel:
    """The model in a folder of `save_pretrained`."""
    config = HubConfig.read(folder / CONFIG_NAME)
    with untrusted(trust), unusable(folder, config.class_path):
        kind = imported(config.class_path)
        if not (inspect.isclass(kind) and issubclass(kind, HubModule)):
            raise WeightsError(f"expected a subclass of {HubModule.__name__}")
    model: Any = kind.from_pretrained(folder, trust=trust)
    decoder = Decoder.recorded(config.decoder, folder / CONFIG_NAME) if config.decoder else None
    if untuned:
        decode_with(model.heads, decoder.untuned if decoder else {}, folder / CONFIG_NAME)
        set_temperatures(model.heads, dict.fromkeys(config.temperatures, 1.0), folder / CONFIG_NAME)
    file = folder / SAFETENSORS_SINGLE_FILE
    return TrainedModel(model, file, dict(model.inference), None if untuned else decoder, decoder is not None)
