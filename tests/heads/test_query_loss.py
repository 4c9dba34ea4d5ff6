from itertools import permutations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from fusionseg.heads.query_decoder import QueryOutput
from fusionseg.heads.query_loss import QueryWeights, assigned, costs, mask_losses, query_loss
from fusionseg.heads.query_target import QueryTarget, query_target
from fusionseg.sample import VOID

WEIGHTS = QueryWeights(classes=2.0, mask=5.0, dice=3.0, no_object=0.25)
UNKNOWN = VOID


def repeated(logits: Tensor, times: int = 4) -> Tensor:
    """Maps (..., h, w) with each pixel repeated in both directions."""
    return logits.repeat_interleave(times, -2).repeat_interleave(times, -1)


def cross_entropy(logits: Tensor, truth: Tensor, labelled: Tensor) -> Tensor:
    """The mean binary cross-entropy over the labelled pixels."""
    return F.binary_cross_entropy_with_logits(logits[labelled], truth[labelled].double())


def dice(logits: Tensor, truth: Tensor, labelled: Tensor) -> Tensor:
    probability = logits[labelled].sigmoid()
    true = truth[labelled].double()
    return 1 - (2 * (probability * true).sum() + 1) / (probability.sum() + true.sum() + 1)


def likely(probability: Tensor, label: int) -> Tensor:
    """The probability of a region's class, of any class if it is unknown."""
    return probability[:-1].sum() if label == UNKNOWN else probability[label]


def pair_cost(logits: Tensor, classes: Tensor, truth: Tensor, labelled: Tensor, label: int) -> float:
    cost = WEIGHTS.mask * cross_entropy(logits, truth, labelled) + WEIGHTS.dice * dice(
        logits, truth, labelled
    )
    return float(cost - WEIGHTS.classes * likely(classes.softmax(0), label))


def best_queries(table: Tensor) -> tuple[int, ...]:
    """For each region (columns) the query (rows) that it gets, found by trying all assignments."""
    queries, regions = table.shape
    return min(
        permutations(range(queries), regions),
        key=lambda chosen: sum(float(table[q, r]) for r, q in enumerate(chosen)),
    )


def by_hand(output: QueryOutput, target: QueryTarget) -> tuple[Tensor, Tensor]:
    """The sums and weights of the loss, image by image, layer by layer and region by region."""
    batch, layers, queries = output.masks.shape[:3]
    sums = torch.zeros(3, dtype=torch.float64)
    weights = torch.zeros(3, dtype=torch.float64)
    for image in range(batch):
        labelled = target.slot[image] > 0
        if not labelled.any():
            continue
        regions = min(int(target.number[image]), queries)
        truths = [target.slot[image] == number for number in range(1, regions + 1)]
        labels = target.classes[image].tolist()
        for layer in range(layers):
            logits = repeated(output.masks[image, layer])
            classes = output.classes[image, layer]
            table = torch.tensor(
                [
                    [pair_cost(logits[q], classes[q], truths[r], labelled, labels[r]) for r in range(regions)]
                    for q in range(queries)
                ]
            )
            chosen = best_queries(table)
            for r, q in enumerate(chosen):
                sums[0] -= WEIGHTS.classes * likely(classes[q].softmax(0), labels[r]).log() / layers
                sums[1] += WEIGHTS.mask * cross_entropy(logits[q], truths[r], labelled) / layers
                sums[2] += WEIGHTS.dice * dice(logits[q], truths[r], labelled) / layers
                weights += 1 / layers
            for q in set(range(queries)) - set(chosen):
                sums[0] -= WEIGHTS.classes * WEIGHTS.no_object * classes[q].softmax(0)[-1].log() / layers
                weights[0] += WEIGHTS.no_object / layers
    return sums, weights


def example(queries: int = 5, classes: int = 3) -> tuple[QueryOutput, Tensor, Tensor]:
    """Random answers of two layers for three images of 8 x 12, their regions and classes; the last has no labels."""
    torch.manual_seed(3)
    region = repeated(torch.randint(1, 4, (3, 4, 6)), 2)
    region[0, :3, 2:] = 0
    region[2] = 0
    semantic = torch.randint(classes, region.shape)
    semantic[region == 2] = VOID
    output = QueryOutput(
        torch.randn(3, 2, queries, 2, 3, dtype=torch.float64),
        torch.randn(3, 2, queries, classes + 1, dtype=torch.float64),
    )
    return output, region, semantic


@pytest.mark.parametrize("queries", [2, 3, 5])
@pytest.mark.parametrize("classify", [False, True])
@pytest.mark.filterwarnings("ignore:an image may have more regions")
def test_the_loss_is_that_of_the_best_of_all_assignments_at_every_labelled_pixel(
    queries: int, classify: bool
) -> None:
    output, region, semantic = example(queries, 3 if classify else 1)
    target = query_target(region, queries, semantic if classify else None, 3)
    assert target.number.tolist() == [3, 3, 0]
    found = query_loss(output, target, WEIGHTS)
    torch.testing.assert_close(found, by_hand(output, target), rtol=1e-6, atol=1e-6)


def test_the_mask_losses_are_those_of_logits_repeated_to_the_labels() -> None:
    logits = 5 * torch.randn(6, 2, 3, dtype=torch.float64)
    truth = torch.rand(6, 8, 12) < 0.4
    labelled = torch.rand(6, 8, 12) < 0.7

    def counted(pixels: Tensor) -> Tensor:
        return pixels.view(6, 2, 4, 3, 4).sum((2, 4)).flatten(1).double()

    found = mask_losses(logits.flatten(1), counted(truth & labelled), counted(labelled))
    triples = list(zip(repeated(logits), truth, labelled, strict=True))
    torch.testing.assert_close(found[0], torch.stack([cross_entropy(*triple) for triple in triples]))
    torch.testing.assert_close(found[1], torch.stack([dice(*triple) for triple in triples]))


def test_a_pair_costs_what_its_masks_would_and_less_where_its_class_is_likely() -> None:
    torch.manual_seed(1)
    logits = torch.randn(2, 2, 3, 20)
    scores = torch.randn(2, 2, 3, 5).log_softmax(-1)
    counts = torch.randint(5, (2, 3, 20)).float()
    labelled = counts.sum(1) + 1
    known = torch.tensor([[0, 2, 3], [1, 1, 0]])
    found = costs(logits, scores, counts, labelled, known, WEIGHTS)
    for image, layer, query, region in torch.cartesian_prod(*map(torch.arange, found.shape)).tolist():
        mask, overlap = mask_losses(
            logits[image, layer, query][None], counts[image, region][None], labelled[image][None]
        )
        expected = WEIGHTS.mask * mask + WEIGHTS.dice * overlap
        expected -= WEIGHTS.classes * scores[image, layer, query, known[image, region]].exp()
        torch.testing.assert_close(found[image, layer, query, region], expected[0])


@pytest.mark.parametrize("number", [0, 1, 3, 4])
def test_an_assignment_gives_every_region_a_query_of_its_own_at_the_least_cost(number: int) -> None:
    cost = torch.randn(2, 3, 4, 4)
    answer, region = assigned(cost, torch.tensor([number, 2]))
    assert len(answer) == len(region) == 3 * (number + 2)
    for image, regions in enumerate((number, 2)):
        for layer in range(3):
            own = answer // 4 == image * 3 + layer
            assert sorted(region[own].tolist()) == [image * 4 + r for r in range(regions)]
            assert len(set(answer[own].tolist())) == regions
            table = cost[image, layer, :, :regions]
            total = table[answer[own] % 4, region[own] % 4].sum()
            best = sum(table[q, r] for r, q in enumerate(best_queries(table))) if regions else 0.0
            assert float(total) == pytest.approx(float(best), abs=1e-6)


@pytest.mark.parametrize("wrong", [torch.nan, torch.inf, -torch.inf])
def test_a_loss_of_answers_that_are_no_numbers_is_none_either(wrong: float) -> None:
    output, region, _ = example()
    output.masks[0] = wrong
    sums, _ = query_loss(output, query_target(region, 5), WEIGHTS)
    assert not sums[1].isfinite()


def test_there_is_a_warning_where_regions_are_not_learned() -> None:
    with pytest.warns(UserWarning, match="may have more regions"):
        assigned(torch.randn(1, 1, 2, 2), torch.tensor([3]))
