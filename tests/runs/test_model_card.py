from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import yaml
from huggingface_hub import ModelCard
from huggingface_hub.repocard_data import model_index_to_eval_results

from fusionseg.config.errors import UsageError
from fusionseg.module import FusionModule
from fusionseg.runs.model_card import Licenses, model_card
from fusionseg.runs.run_facts import RunFacts, SplitFigures
from fusionseg.sample import Classes

FACTS = RunFacts(
    name="camvid",
    dataset="CamVid",
    training_images=367,
    epoch=5,
    epochs=30,
    monitor="val/score",
    seed=7,
    precision="bf16-mixed",
    weights="random weights",
    figures=(
        SplitFigures("val", {"miou": 0.5, "pq": 0.25}, 101, "by `fusionseg evaluate`"),
        SplitFigures("test", {"miou": 0.123456789}, None, "by `fusionseg evaluate`"),
    ),
    notes=("`val`: pq is not measured",),
    commit="abc123",
    status="finished",
    configuration="seed_everything: 7",
)


@pytest.fixture(scope="module")
def model(small: Callable[..., FusionModule]) -> FusionModule:
    return small()


def card_of(
    model: FusionModule, facts: RunFacts = FACTS, licenses: Licenses | None = None, **changes: Any
) -> ModelCard:
    return model_card(facts, replace(model.hub_config(), **changes), model, licenses or Licenses())


def test_the_front_matter_is_what_the_hub_reads(model: FusionModule) -> None:
    card = card_of(model, licenses=Licenses("apache-2.0"))
    block = str(card).split("---\n")[1]
    content = yaml.safe_load(block)
    assert content["license"] == "apache-2.0"
    assert content["library_name"] == "fusionseg"
    assert content["pipeline_tag"] == "image-segmentation"
    name, results = model_index_to_eval_results(content["model-index"])
    assert name == "camvid"
    assert [(r.dataset_name, r.dataset_split, r.metric_type, r.metric_value) for r in results] == [
        ("CamVid", "val", "miou", 0.5),
        ("CamVid", "val", "pq", 0.25),
        ("CamVid", "test", "miou", 0.123457),
    ]
    assert ModelCard(str(card)).data.to_dict() == card.data.to_dict()


def test_figures_are_a_table_of_all_splits(model: FusionModule) -> None:
    text = card_of(model).text
    assert "| figure | val | test |\n|---|---|---|\n| miou | 0.5000 | 0.1235 |\n| pq | 0.2500 |  |\n" in text
    assert "`val`: measured by `fusionseg evaluate`, 101 images. `test`: measured by" in text


def test_the_protocol_is_said(model: FusionModule) -> None:
    text = card_of(model).text
    for row in (
        "| data | CamVid |",
        "| training images | 367 |",
        "| began with | random weights |",
        "| epoch | 5 of 30, the best one by `val/score` |",
        "| seed | 7 |",
        "```yaml\nseed_everything: 7\n```",
        "semantic (SemanticHead), region (BoundaryHead)",
    ):
        assert row in text
    unknown = card_of(
        model, replace(FACTS, training_images=None, epoch=None, seed=None, precision=None, figures=())
    ).text
    for row in (
        "| training images | not recorded |",
        "| epoch | not recorded |",
        "| precision | not recorded |",
        "| seed | none |",
        "None were measured.",
    ):
        assert row in unknown


def test_limits_are_said(model: FusionModule) -> None:
    text = card_of(model).text
    assert "- This is one run of one seed" in text
    assert "- Validation images chose the epoch, so that" in text
    assert "- `val`: pq is not measured.\n" in text
    assert "did not end" not in text
    tuned = card_of(
        model, replace(FACTS, status="interrupted"), decoder={"parameters": {"region": {"threshold": 0.4}}}
    ).text
    assert "- Validation images chose the epoch and the decoding, so that" in tuned
    assert "did not end as planned: it is interrupted" in tuned
    assert "decoded as `fusionseg tune` chose" in tuned


def test_how_images_are_seen_is_said(model: FusionModule) -> None:
    text = card_of(model, scale=0.5, value_range=[0, 4095]).text
    assert (
        "images have 3 channels and are seen at 0.5 times their size, with values from 0 (black) to 4095"
        in text
    )


def test_classes_are_a_table_whatever_their_names(small: Callable[..., FusionModule]) -> None:
    named = small()
    named.classes = Classes(("a|b", "{{ 1 + 1 }}"), ((0, 0, 0),) * 2, (1,), "a | b")
    text = card_of(named).text
    assert "| 0 | a\\|b | stuff |\n| 1 | {{ 1 + 1 }} | thing |\n" in text


@pytest.mark.parametrize(
    ("licenses", "weights", "data"),
    [
        (Licenses(), "No license is given for the weights", "training data (CamVid) is not known here"),
        (Licenses("mit", data_license="CC BY-NC 4.0"), "under `mit`.", "(CamVid) are under CC BY-NC 4.0."),
        (Licenses("other", "Mine", "https://a.b/c"), "under [Mine](https://a.b/c).", "is not known here"),
    ],
)  # fmt: skip
def test_licenses_are_said_and_unknown_ones_too(
    licenses: Licenses, weights: str, data: str, model: FusionModule
) -> None:
    card = card_of(model, licenses=licenses)
    assert weights in card.text
    assert data in card.text
    found = card.data.to_dict()
    for key in ("license", "license_name", "license_link"):
        assert found.get(key) == getattr(licenses, key)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"license": "Apache 2.0"}, "license: expected an identifier of the hub's, .* found 'Apache 2.0'"),
        ({"license": "other"}, "license_name: expected one with the license 'other' .* found none"),
        ({"license": "other", "license_name": "a"}, "license_link: expected one .* found none"),
        ({"license": "mit", "license_link": "a"}, "license_link: .* found one beside mit"),
        ({"license_name": "a"}, "license_name: .* found one beside None"),
    ],
)
def test_licenses_that_the_hub_would_refuse_are_one_line(given: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Licenses(**given)


@pytest.mark.parametrize("name", ["apache-2.0", "openrail++", "cc-by-nc-sa-4.0", "c-uda", "llama2"])
def test_identifiers_of_the_hub_are_taken(name: str) -> None:
    assert Licenses(name).license == name
