"""A LightningModule that is saved as a folder without pickles, or on Hugging Face's hub, and read back."""

import inspect
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

from huggingface_hub import ModelCard, PyTorchModelHubMixin, hf_hub_download
from huggingface_hub.constants import CONFIG_NAME, SAFETENSORS_SINGLE_FILE
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined] # its page documents it
from lightning.pytorch import LightningModule
from lightning.pytorch.cli import instantiate_module
from safetensors.torch import load_model, save_model
from typing_extensions import override

from fusionseg.config.recipe import import_path, plain
from fusionseg.config.trust import check_named, untrusted
from fusionseg.engine.decoding import decode_with, set_temperatures
from fusionseg.engine.hub_config import HubConfig, preprocessing
from fusionseg.files.atomic import Json, replacing
from fusionseg.files.state_dicts import Checkpoint, WeightsError, check_weights, unusable
from fusionseg.heads import Head
from fusionseg.networks import Network

INFERENCE = ("scale", "resize", "value_range", "depth_limit", "precision", "decoder")
"""What a `HubConfig` has that the module itself does not show."""

DOWNLOAD = ("revision", "cache_dir", "force_download", "local_files_only", "token")
"""What huggingface_hub goes by where it downloads a file."""

CARD = """\
---
{{ card_data }}
---

# A model of fusionseg

Semantic and region segmentation ([fusionseg]({{ repo_url }})). This card was not made from a run folder:
data, protocol, figures and licenses are not known here. `fusionseg share --run DIR` writes one that has them.
"""


class HubModule(
    PyTorchModelHubMixin,
    LightningModule,
    library_name="fusionseg",
    pipeline_tag="image-segmentation",
    tags=["semantic-segmentation", "region-segmentation"],
    repo_url="https://github.com/fusionseg/fusionseg",
    model_card_template=CARD,
):
    """Adds `save_pretrained`, `push_to_hub` and `from_pretrained` to a LightningModule that keeps its recipe.

    A saved model is a folder of `model.safetensors`, `config.json` (see `HubConfig`) and a model card.
    Nothing in it is unpickled, and only classes of trusted packages are built.

    Attributes:
        card: The model card; one that knows of no run where it is None.
        inference: What answers depend on beside weights and arguments, those of `INFERENCE` that are known.
    """

    card: ModelCard | None = None
    inference: Json | None = None

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        # else `inspect` reports the arguments of the mixin's `__new__` where a class inherits its `__init__`
        signature = inspect.signature(cls.__init__)
        parameters = list(signature.parameters.values())[1:]
        cls.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]

    @classmethod
    @override
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | Path, *, trust: Iterable[str] = (), **options: Any
    ) -> Self:
        """The model in a folder of `save_pretrained` or `fusionseg share`, or of the hub, ready to answer.

        Args:
            pretrained_model_name_or_path: The folder, or the model's id on the hub (`name/model`).
            trust: Packages to trust beside those of `fusionseg.config.trust`.
            options: As of huggingface_hub's (`revision`, `token`, `cache_dir`, `local_files_only` ...), and
                arguments of the constructor that replace those of the file.

        Raises:
            WeightsError: If there is no such model, or what the files hold makes none.
            OSError: If the hub does not have it or cannot be reached.
        """
        folder = Path(pretrained_model_name_or_path)
        # here, or the mixin fails in its own words
        if folder.is_dir():
            HubConfig.read(folder / CONFIG_NAME)
        else:
            _check_id(str(pretrained_model_name_or_path))
        return super().from_pretrained(pretrained_model_name_or_path, trust=tuple(trust), **options)

    @classmethod
    @override
    def _from_pretrained(
        cls, *, model_id: str, config: Json | None = None, trust: Iterable[str] = (), **options: Any
    ) -> Self:
        known = HubConfig.of(config, model_id)
        if known.class_path != import_path(cls):
            raise WeightsError(f"{model_id}: expected a {import_path(cls)}, found a {known.class_path}")
        file = _weights(model_id, {name: options.pop(name) for name in DOWNLOAD if name in options})
        arguments = {**known.init_args, **{name: plain(value) for name, value in options.items()}}
        with untrusted(trust), unusable(model_id, cls.__name__):
            check_named(LightningModule, {"class_path": known.class_path, "init_args": arguments})
            model = instantiate_module(cls, arguments)
            load_model(model, file)
        check_weights(model, file)
        decode_with(_heads(model), known.decoding, model_id)
        set_temperatures(_heads(model), known.temperatures, model_id)
        model.inference = {name: getattr(known, name) for name in INFERENCE}
        return model.eval()

    @override
    def _save_pretrained(self, save_directory: Path) -> None:
        file = save_directory / SAFETENSORS_SINGLE_FILE
        check_weights(self, file)
        config = self.hub_config()
        with replacing(file) as draft:
            save_model(self, str(draft), metadata={"format": "pt"})
        config.write(save_directory / CONFIG_NAME)  # the last one, so that where it is the weights are
        shutil.copymode(save_directory / CONFIG_NAME, file)  # which safetensors lets its owner alone read

    @override
    def generate_model_card(self, *args: Any, **kwargs: Any) -> ModelCard:
        """The model card: that of the run, or one that knows of none."""
        return self.card or super().generate_model_card(*args, **kwargs)

    @override
    def on_load_checkpoint(self, checkpoint: Checkpoint) -> None:
        data = preprocessing(checkpoint)
        self.inference = {name: data[name] for name in INFERENCE if name in data}

    def recorded(self) -> Json:
        """The arguments of which the module records what they came to: those of its backbone."""
        network = getattr(self, "network", None)
        backbone = self.hparams.get("backbone")
        if not isinstance(network, Network) or not isinstance(backbone, dict):
            return {}
        return {"backbone": {**backbone, **network.recorded()}}

    def hub_config(self) -> HubConfig:
        """What is saved beside the weights.

        Raises:
            ValueError: If an argument cannot be stored without code, or one of the data is out of its range.
        """
        given = {**self.hparams, **self.recorded()}
        if "teacher" in given:
            given["teacher"] = None  # a folder of this machine, which answers do not need
        taken = inspect.signature(type(self)).parameters  # the class may be of others than its base
        arguments = {name: plain(value) for name, value in given.items() if name in taken}
        known = {**(self.inference or {}), **_of_trainer(self)}
        decoding = {
            task: {name: getattr(head, name) for name in head.tunable}
            for task, head in _heads(self).items()
            if head.tunable
        }
        heads = _heads(self).items()
        known["temperatures"] = {task: head.temperature for task, head in heads if head.temperature != 1}
        return HubConfig(import_path(type(self)), arguments, decoding=decoding, **known)


def _heads(module: LightningModule) -> dict[str, Head]:
    """The head of each task; none of a module without heads."""
    return dict(getattr(module, "heads", {}))


def _of_trainer(module: LightningModule) -> Json:
    """How images came to a module in its trainer; empty if it has none."""
    try:
        trainer = module.trainer
    except RuntimeError:  # which Lightning raises where there is none
        return {}
    data = getattr(trainer, "datamodule", None)
    if data is None:
        return {"precision": str(trainer.precision)}
    content = {"datamodule_hyper_parameters": data.hparams, type(data).__name__: data.state_dict()}
    seen = preprocessing(content)
    precision = str(trainer.precision)
    known = {"scale": seen.get("scale", 1.0), "precision": precision}
    return known | {name: seen.get(name) for name in ("resize", "value_range", "depth_limit")}


def _check_id(name: str) -> None:
    """Raises a WeightsError if a name, of which there is no folder, cannot be that of a model on the hub."""
    try:
        validate_repo_id(name)
    except HFValidationError as error:
        raise WeightsError(
            f"expected a folder of `fusionseg share`, or a model on the hub (NAME/MODEL), found no {name}"
        ) from error


def _weights(model_id: str, download: Json) -> Path:
    """The file of weights of a folder, or of the hub.

    Raises:
        WeightsError: If the folder has none.
        OSError: If the hub has none or cannot be reached.
    """
    if not Path(model_id).is_dir():
        return Path(hf_hub_download(model_id, SAFETENSORS_SINGLE_FILE, **download))
    file = Path(model_id) / SAFETENSORS_SINGLE_FILE
    if not file.is_file():
        raise WeightsError(f"{file}: no such file of weights")
    return file
