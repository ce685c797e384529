"""`vinsat bench rl`: steps of the batched environments a second of processor time, on one core.

A step is one Runge-Kutta step of 1,024 rows in float64 with reward, ends of episodes and new
starts, under random actions drawn before. The best of a few repeats: the one other work
disturbed least. The yardstick is a product of two matrices of 256 x 256 in the same run.
"""

from collections.abc import Callable

from groundtools.registry import Bench, Check, at_least, noted
from groundtools.timing import least_cpu_s

ROWS, STEPS, WARM, REPEATS = 1024, 300, 50, 7
WANTED = {"detumble-fast": 1e6, "pointing-fast": 350e3}


def run() -> tuple[Check, ...]:
    """Time both tasks and the yardstick."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        checks = [
            at_least(f"{name}: steps per core-second", speed(name), low) for name, low in WANTED.items()
        ]
        square = torch.rand(256, 256, dtype=torch.float64)
        product_s = _least(lambda: square @ square, 100)
    finally:
        torch.set_num_threads(threads)
    return (*checks, noted("a product of 256 x 256 float64 matrices: ms", 1e3 * product_s))


def speed(name: str) -> float:
    """Return environment steps per second of processor time."""
    import torch

    from vinsat_sim.dynamics.environments import Environments
    from vinsat_sim.dynamics.tasks import task

    made = task(name)
    rows = Environments(made, ROWS, stagger=True)
    chance = torch.Generator().manual_seed(0)
    actions = 2.0 * torch.rand(20, ROWS, made.actions, generator=chance, dtype=torch.float64) - 1.0
    turn = iter(range(10**9))
    step = lambda: rows.step(actions[next(turn) % len(actions)])  # noqa: E731
    for _ in range(WARM):
        step()
    return ROWS / _least(step, STEPS)


def _least(call: Callable[[], object], times: int) -> float:
    """Return the least of a few mean processor times, s."""

    def often() -> None:
        for _ in range(times):
            call()

    return least_cpu_s(often, repeats=REPEATS) / times


BENCH = Bench(id="rl", title="batched environments for learning: steps per core-second", run=run)
