"""`vinsat bench layers`: the solvers beside torchdeq on the same maps, and the import's time.

Needs the extra `[oracles]` for the comparison; without torchdeq it says so and fails.
"""

import subprocess
import sys
import time
from functools import partial

from groundtools.registry import Bench, Check, at_least, at_most, noted
from groundtools.timing import least_cpu_s

ROWS, SIZE, TOLERANCE, STEPS = 64, 256, 1e-5, 60
RATES = (0.5, 0.9, 0.98)
REPEATS = 5
IMPORTS = 3


def run() -> tuple[Check, ...]:
    """Time solve against torchdeq's Anderson and Broyden, and the import against torch's."""
    return (*solvers(), imports())


def imports() -> Check:
    """Return the time of importing the layers over that of importing torch."""
    ours = "import groundtools.layers.core, groundtools.layers.jiio, groundtools.layers.mpc.policy"
    ours, torchs = (min(_import_time(code) for _ in range(IMPORTS)) for code in (ours, "import torch"))
    return at_most("import of the layers over import of torch", ours / torchs, 1.2)


def solvers() -> tuple[Check, ...]:
    """Return ratios of time and who converges, on contractions of several rates."""
    import torch

    from groundtools.layers.core import Anderson, Broyden, solve

    try:
        from torchdeq.solver import anderson_solver, broyden_solver
    except ImportError:
        why = "torchdeq is not installed: pip install 'vinsat[oracles]'"
        return (Check(name="torchdeq", value=why, passed=False, threshold="installed"),)
    torch.manual_seed(0)
    checks, ours_ok, theirs_ok = [], 0, 0
    pairs = {
        "anderson": (Anderson(kind=2, memory=6), anderson_solver),
        "broyden": (Broyden(memory=30), broyden_solver),
    }
    for name, (solver, other) in pairs.items():
        ratios = []
        for rate in RATES:
            q = torch.linalg.qr(torch.randn(SIZE, SIZE))[0]
            b = torch.randn(ROWS, SIZE)
            f = lambda z: rate * torch.tanh(z) @ q + b  # noqa: B023, E731
            z0 = torch.zeros(ROWS, SIZE)
            found = solve(f, z0, solver=solver, tolerance=TOLERANCE, max_steps=STEPS)
            with torch.no_grad():
                z = other(f, z0, max_iter=STEPS, tol=TOLERANCE, stop_mode="rel")[0]
                gap = (f(z) - z).norm(dim=1) / f(z).norm(dim=1)
            theirs_ok += int((gap <= 2.0 * TOLERANCE).all())
            ours_ok += int(found.ok.all())
            ours = partial(solve, f, z0, solver=solver, tolerance=TOLERANCE, max_steps=STEPS)
            theirs = partial(other, f, z0, max_iter=STEPS, tol=TOLERANCE, stop_mode="rel")
            ours_s, theirs_s = (least_cpu_s(call, repeats=REPEATS) for call in (ours, theirs))
            ratios.append(ours_s / theirs_s)
            checks.append(noted(f"{name}, rate {rate}: ms", 1e3 * ours_s))
        checks.append(at_most(f"{name}: time over torchdeq's, largest", max(ratios), 1.0))
    return (*checks, at_least("problems solved, less those torchdeq solves", ours_ok - theirs_ok, 0))


def _import_time(code: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-P", "-c", code], check=True)
    return time.perf_counter() - start


BENCH = Bench(id="layers", title="the layers' solvers beside torchdeq, and their import", run=run)
