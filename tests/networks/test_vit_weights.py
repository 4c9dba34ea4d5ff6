import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torch.nn.functional as F
from torch import Tensor

from fusionseg.files.state_dicts import WeightsError
from fusionseg.networks.backbone import Backbone

Vit = Callable[..., Backbone]
State = dict[str, Tensor]

SMALL: dict[str, Any] = {"embed_dim": 32, "depth": 2, "num_heads": 2}


def drawn(name: str, **options: Any) -> State:
    """Random values of the shapes that timm has for a model of its own size."""
    state = timm.create_model(name, num_classes=0, **SMALL, **options).state_dict()
    return {key: torch.randn_like(value) for key, value in state.items()}


def dinov2(state: State) -> State:
    """As the files of github.com/facebookresearch/dinov2."""
    found = {**state, "mask_token": torch.randn(1, 32)}
    if "reg_token" in found:
        found["register_tokens"] = found.pop("reg_token")
        place = torch.randn(1, 1, 32)
        found["pos_embed"] = torch.cat([place, found["pos_embed"]], 1)
        found["cls_token"] = found["cls_token"] - place
    return found


def dinov3(state: State) -> State:
    """As the files of github.com/facebookresearch/dinov3, whose masked biases timm drops."""
    found = {"mask_token": torch.randn(1, 32), "rope_embed.periods": torch.randn(4)}
    for key, value in state.items():
        key = key.replace("reg_token", "storage_tokens")
        key = re.sub(r"gamma_(\d)", r"ls\1.gamma", key)
        found[key] = value
        if key.endswith("qkv.weight"):
            found[key.replace("weight", "bias")] = torch.zeros(96)
            found[key.replace("weight", "bias_mask")] = torch.zeros(96)
    return found


def eva02(state: State) -> State:
    """As the files of github.com/baaivision/EVA of masked image modelling."""
    found = {
        "mask_token": torch.randn(1, 1, 32),
        "lm_head.weight": torch.randn(8, 32),
        "lm_head.bias": torch.randn(8),
    }
    found |= {"rope.freqs_cos": torch.randn(256, 32), "rope.freqs_sin": torch.randn(256, 32)}
    names = {"fc_norm": "norm", "mlp.norm": "mlp.ffn_ln", "q_proj.bias": "q_bias", "v_proj.bias": "v_bias"}
    names |= {"mlp.fc1_g": "mlp.w1", "mlp.fc1_x": "mlp.w2", "mlp.fc1.": "mlp.w12.", "mlp.fc2": "mlp.w3"}
    for key, value in state.items():
        for ours, theirs in names.items():
            key = key.replace(ours, theirs)
        found[key] = value
    return found


def sam(state: State) -> State:
    """As the files of github.com/facebookresearch/segment-anything."""
    found = {"image_encoder." + key.replace("mlp.fc", "mlp.lin"): value for key, value in state.items()}
    others = {"prompt_encoder.no_mask_embed.weight": (1, 24), "mask_decoder.iou_token.weight": (1, 24)}
    return found | {key: torch.randn(shape) for key, shape in others.items()}


FILES: dict[str, tuple[Callable[[State], State], dict[str, Any]]] = {
    "vit_small_patch14_dinov2.lvd142m": (dinov2, {}),
    "vit_small_patch14_reg4_dinov2.lvd142m": (dinov2, {}),
    "vit_small_patch16_dinov3.lvd1689m": (dinov3, {}),
    "eva02_tiny_patch14_224.mim_in22k": (eva02, {}),
    "eva02_base_patch14_224.mim_in22k": (eva02, {}),
    "samvit_base_patch16.sa1b": (sam, {"global_attn_indexes": (1,), "neck_chans": 24}),
}


@pytest.mark.parametrize("original", [True, False], ids=["original", "timm"])
@pytest.mark.parametrize("name", FILES)
def test_every_tensor_of_a_file_is_taken_under_its_authors_names_and_timms(
    name: str, original: bool, tiny_vit: Vit, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rename, options = FILES[name]
    state = drawn(name, **options)
    torch.save({"module": rename(state)} if original else state, tmp_path / "vit.pth")
    encoder, _ = tiny_vit(name, str(tmp_path / "vit.pth")).build()
    trunk = encoder.body.trunk.state_dict()  # type: ignore[union-attr]
    assert trunk.keys() == state.keys()
    resampled = {"patch_embed.proj.weight"} if "patch14" in name else set()
    for key in trunk.keys() - resampled:
        torch.testing.assert_close(trunk[key], state[key])
    shown = capsys.readouterr().out
    assert "initialized: neck." in shown
    assert "initialized: trunk." not in shown


def test_patches_of_14_pixels_see_in_16_what_they_saw_enlarged(tiny_vit: Vit, tmp_path: Path) -> None:
    name = "vit_small_patch14_dinov2.lvd142m"
    state = drawn(name)
    torch.save(dinov2(state), tmp_path / "vit.pth")
    encoder, _ = tiny_vit(name, str(tmp_path / "vit.pth")).build()
    patches = torch.rand(5, 3, 14, 14)
    large = F.interpolate(patches, (16, 16), mode="bicubic", antialias=True)
    proj: Any = encoder.body.trunk.patch_embed.proj  # type: ignore[union-attr]
    weight, bias = (state[f"patch_embed.proj.{part}"] for part in ("weight", "bias"))
    torch.testing.assert_close(proj(large), F.conv2d(patches, weight, bias), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("channels", [4, 5])
def test_a_file_of_rgb_is_widened_as_for_other_encoders(
    channels: int, tiny_vit: Vit, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "vit_small_patch16_dinov3.lvd1689m"
    state = drawn(name)
    torch.save(state, tmp_path / "vit.pth")
    encoder, _ = tiny_vit(name, str(tmp_path / "vit.pth"), in_channels=channels).build()
    assert f"widened: trunk.patch_embed.proj.weight (32, {channels}, 16, 16)" in capsys.readouterr().out
    weight: Any = encoder.body.trunk.patch_embed.proj.weight  # type: ignore[union-attr]
    for channel in range(channels):
        expected = state["patch_embed.proj.weight"][:, channel % 3] * 3 / channels
        torch.testing.assert_close(weight[:, channel], expected)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"conv1.weight": torch.rand(64, 3, 7, 7)}, r"none of the 1 tensors fits the tu-vit_small.* encoder"),
        ({"pos_embed": torch.rand(1, 8, 32)}, r"timm cannot read it as weights of VisionTransformer: "),
    ],
)
def test_a_file_of_another_model_is_one_line(
    state: State, message: str, tiny_vit: Vit, tmp_path: Path
) -> None:
    torch.save(state, tmp_path / "other.pth")
    with pytest.raises(WeightsError, match=rf"other.pth: {message}"):
        tiny_vit("vit_small_patch14_dinov2.lvd142m", str(tmp_path / "other.pth")).build()
