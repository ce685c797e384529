"""Samples drawn ahead arrive in order, and a failure reaches who asked."""

import pytest

from groundtools.training.feed import feed


@pytest.mark.parametrize(("first", "last"), [(0, 10), (3, 4), (5, 5), (7, 13)])
def test_samples_come_in_the_order_of_the_steps(first: int, last: int) -> None:
    assert list(feed(lambda step: step, first, last)) == list(range(first, last))


def test_a_sample_that_cannot_be_drawn_stops_the_run() -> None:
    def draw(step: int) -> int:
        if step == 2:
            raise ValueError("step 2")
        return step

    samples = feed(draw, 0, 9)
    assert [next(samples), next(samples)] == [0, 1]
    with pytest.raises(ValueError, match="step 2"):
        next(samples)
