import pytest
import torch

from fusionseg.config.remedies import remedied
from fusionseg.engine.batch_errors import of_batch
from fusionseg.sample import Sample


class Steps:
    @of_batch
    def step(self, batch: Sample, error: Exception) -> None:
        raise error


BATCH: Sample = {"image": torch.zeros(5, 3, 20, 30), "name": ["a", "b", "c", "d", "e"]}


def test_an_error_of_memory_names_the_images_and_their_size() -> None:
    error = RuntimeError("CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has ...")
    with pytest.raises(RuntimeError) as caught:
        Steps().step(BATCH, error)
    assert str(remedied(caught.value)).startswith(
        "out of memory at 5 of 30 x 20 pixels: a, b, c and 2 more (2.50 GiB more were wanted): lower"
    )


@pytest.mark.parametrize("error", [RuntimeError("shapes differ"), ValueError("no")])
def test_other_errors_are_as_they_were(error: Exception) -> None:
    with pytest.raises(type(error)) as caught:
        Steps().step(BATCH, error)
    assert caught.value is error
    assert not getattr(error, "__notes__", [])


def test_the_end_of_an_iterator_is_no_end_of_a_loop() -> None:
    with pytest.raises(RuntimeError, match="raised StopIteration"):
        Steps().step(BATCH, StopIteration())
