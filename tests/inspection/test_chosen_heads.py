import inspect
from functools import partial

import pytest

from fusionseg import heads
from fusionseg.config.errors import UsageError
from fusionseg.heads import BoundaryHead, CenterOffsetHead, Head, SemanticHead
from fusionseg.inspection.chosen_heads import chosen_heads
from fusionseg.losses import Dice

CLASSES = 3


class OwnHead(BoundaryHead):
    """A head that is none of the package's."""


class PyramidHead(BoundaryHead):
    """A head of the encoder's maps."""

    reads_pyramid = True

    def __init__(self, in_channels: list[int]) -> None:
        super().__init__(sum(in_channels))


def test_all_heads_of_the_package_are_shown_with_their_defaults() -> None:
    shown = chosen_heads({}, None, CLASSES)
    public = [getattr(heads, name) for name in heads.__all__]
    concrete = [kind for kind in public if issubclass(kind, Head) and not inspect.isabstract(kind)]
    assert list(shown) == [kind.__name__ for kind in concrete]
    assert not any(one.configured or one.settings for one in shown.values())
    assert all(one.shows for one in shown.values())


def test_configured_heads_are_first_and_have_their_settings() -> None:
    recipes = {
        "semantic": SemanticHead,
        "region": partial(CenterOffsetHead, sigma=3.0, threshold=0.1, center_loss=Dice),
        "other": OwnHead,
    }
    shown = chosen_heads(recipes, None, CLASSES)
    assert list(shown)[:3] == ["SemanticHead", "CenterOffsetHead", "OwnHead"]
    assert [one.configured for one in shown.values()][:4] == [True, True, True, False]
    head = shown["CenterOffsetHead"].head
    assert isinstance(head, CenterOffsetHead)
    assert head.sigma == 3
    assert shown["CenterOffsetHead"].settings == "sigma 3.0"  # what else is given is a default or a part
    assert len(shown) == len(chosen_heads({}, None, CLASSES)) + 1


def test_a_head_that_reads_the_pyramid_is_built_too() -> None:
    shown = chosen_heads({"region": PyramidHead}, "PyramidHead", CLASSES)
    assert list(shown) == ["PyramidHead"]


def test_names_choose_heads_and_an_unknown_one_is_refused() -> None:
    assert list(chosen_heads({}, " BoundaryHead , AffinityHead", CLASSES)) == ["BoundaryHead", "AffinityHead"]
    with pytest.raises(UsageError, match=r"no head 'BoundryHead'; did you mean BoundaryHead"):
        chosen_heads({}, "BoundryHead", CLASSES)
    with pytest.raises(UsageError, match="no head 'Head'"):
        chosen_heads({}, "Head", CLASSES)
