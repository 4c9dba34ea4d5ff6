import pytest
import torch

from fusionseg.heads import AffinityHead
from fusionseg.heads.dense import log_of_mean, logits_of_mean


def test_the_mean_of_probabilities_is_that_of_plain_arithmetic() -> None:
    logits = [torch.randn(2, 4, 3, 5, dtype=torch.float64) * 3 for _ in range(3)]
    mean = torch.stack([output.sigmoid() for output in logits]).mean(0)
    torch.testing.assert_close(logits_of_mean(logits), torch.logit(mean))
    mean = torch.stack([output.softmax(1) for output in logits]).mean(0)
    torch.testing.assert_close(log_of_mean(logits), mean.log())


def test_certain_predictions_stay_finite() -> None:
    certain = [torch.tensor([[[[60.0]], [[-60.0]]]])] * 2
    torch.testing.assert_close(logits_of_mean(certain), certain[0])
    torch.testing.assert_close(log_of_mean(certain).softmax(1), certain[0].softmax(1))


def test_affinities_of_a_direction_are_interpolated_by_the_logarithm_of_the_length() -> None:
    head = AffinityHead(4, offsets=[(0, 1), (1, 0), (0, 4)])
    output = torch.tensor([8.0, 5.0, 2.0]).view(1, 3, 1, 1)
    # edges of one and four pixels are two and eight long in a copy of twice the size
    assert head.rescaled(output, 2.0).flatten().tolist() == pytest.approx([5.0, 5.0, 2.0])
    assert head.rescaled(output, 0.5).flatten().tolist() == pytest.approx([8.0, 5.0, 5.0])


def test_diagonal_affinities_are_mirrored_by_those_of_the_other_diagonal() -> None:
    output = torch.arange(4.0).view(1, 4, 1, 1).expand(1, 4, 2, 8)
    head = AffinityHead(4, offsets=[(0, 1), (1, 0), (3, 3), (3, -3)])
    assert head.mirrored(output, 8)[0, :, 0, 0].tolist() == [0, 1, 3, 2]
    one_sided = AffinityHead(4, offsets=[(0, 1), (1, 0), (3, 3)])
    with pytest.raises(ValueError, match=r"\(3, -3\) beside \(3, 3\)"):
        one_sided.mirrored(output[:, :3], 8)
