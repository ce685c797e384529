import pytest

torch = pytest.importorskip("torch", reason="the layers need the extra [layers]")

from groundtools.layers.core import Anderson, Broyden, Picard, Status, solve  # noqa: E402

SOLVERS = {
    "picard": Picard(),
    "anderson I": Anderson(kind=1),
    "anderson II": Anderson(kind=2),
    "broyden": Broyden(),
}


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(3)


def contraction(rows=7, size=12, rate=0.9, dtype=torch.float64):
    """Return f(z) = rate Q tanh(z) + b with Q orthogonal, and b."""
    q = torch.linalg.qr(torch.randn(size, size, dtype=dtype))[0]
    b = torch.randn(rows, size, dtype=dtype)
    return lambda z: rate * torch.tanh(z) @ q + b


@pytest.mark.parametrize("name", SOLVERS)
@pytest.mark.verifies("LAY-001")
def test_every_solver_finds_the_fixed_point_of_a_contraction(name):
    f = contraction()
    found = solve(
        f, torch.zeros(7, 12, dtype=torch.float64), solver=SOLVERS[name], tolerance=1e-10, max_steps=300
    )
    assert found.ok.all()
    torch.testing.assert_close(f(found.value), found.value, atol=1e-8, rtol=0)


@pytest.mark.parametrize("name", ["anderson I", "anderson II", "broyden"])
def test_acceleration_needs_fewer_steps_than_picard_also_on_an_easy_map(name):
    for rate in (0.3, 0.95):
        f = contraction(rate=rate)
        z0 = torch.zeros(7, 12, dtype=torch.float64)
        plain = solve(f, z0, solver=Picard(), tolerance=1e-9, max_steps=900)
        fast = solve(f, z0, solver=SOLVERS[name], tolerance=1e-9, max_steps=900)
        assert int(fast.steps.max()) < int(plain.steps.max())


def test_anderson_two_with_full_memory_is_gmres_on_a_linear_map():
    matrix = torch.randn(5, 5, dtype=torch.float64)
    b = torch.randn(3, 5, dtype=torch.float64)
    f = lambda z: z @ matrix.T + b  # noqa: E731 - not a contraction
    found = solve(
        f, torch.zeros_like(b), solver=Anderson(kind=2, memory=6, ridge=0.0), tolerance=1e-9, max_steps=8
    )
    assert found.ok.all()
    assert int(found.steps.max()) <= 7


def test_a_row_that_has_converged_does_not_move_again():
    seen = []

    def f(z):
        seen.append(z.clone())
        return torch.tensor([[0.1], [0.95]], dtype=torch.float64) * z + 1.0

    found = solve(f, torch.zeros(2, 1, dtype=torch.float64), solver=Picard(), tolerance=1e-6, max_steps=400)
    first, second = found.steps.tolist()
    assert first < 15 < second
    assert len({float(z[0]) for z in seen[first:]}) == 1


def test_the_best_iterate_is_returned_and_the_start_is_a_legal_answer():
    found = solve(lambda z: 3.0 * z + 1.0, torch.zeros(1, 1), solver=Picard(), max_steps=6)
    assert found.value.item() == 0.0  # every further iterate is worse
    assert found.status.tolist() == [Status.NOT_CONVERGED]
    exact = solve(lambda z: 0.5 * z, torch.zeros(2, 3), max_steps=5)
    assert exact.ok.all()
    assert exact.steps.tolist() == [1, 1]


@pytest.mark.parametrize("name", SOLVERS)
@pytest.mark.verifies("LAY-002")
def test_a_row_of_nan_is_said_and_leaves_the_others_alone(name):
    inner = contraction(rows=3)

    def f(z):
        out = inner(z)
        out[1] = torch.nan
        return out

    z0 = torch.zeros(3, 12, dtype=torch.float64)
    found = solve(f, z0, solver=SOLVERS[name], tolerance=1e-8, max_steps=300)
    alone = solve(inner, z0, solver=SOLVERS[name], tolerance=1e-8, max_steps=300)
    assert found.status.tolist() == [Status.CONVERGED, Status.NOT_FINITE, Status.CONVERGED]
    assert found.value[1].abs().max() == 0.0  # the start
    torch.testing.assert_close(found.value[[0, 2]], alone.value[[0, 2]], atol=1e-6, rtol=0)


def test_a_row_that_diverges_is_called_so_and_returns_its_best():
    found = solve(
        lambda z: 1e4 * z + 1.0, torch.zeros(1, 2, dtype=torch.float64), solver=Picard(), max_steps=60
    )
    assert found.status.item() in (Status.DIVERGED, Status.NOT_CONVERGED)
    assert torch.isfinite(found.value).all()


@pytest.mark.parametrize("name", SOLVERS)
def test_a_step_into_nan_is_taken_back(name):
    # The logarithm is not defined below zero, where a long step may lead.
    f = lambda z: torch.log(z) + 1.5  # noqa: E731
    found = solve(
        f, torch.full((1, 1), 1.2, dtype=torch.float64), solver=SOLVERS[name], tolerance=1e-8, max_steps=200
    )
    assert torch.isfinite(found.value).all()
    assert found.ok.all()


@pytest.mark.parametrize("kind", [1, 2])
def test_singular_anderson_systems_fall_back_to_picard(kind):
    # All differences are parallel: with a memory of 6 and no ridge the system is singular.
    f = lambda z: 0.5 * z + 1.0  # noqa: E731
    found = solve(f, torch.zeros(2, 8), solver=Anderson(kind=kind, ridge=0.0), tolerance=1e-6, max_steps=60)
    assert found.ok.all()
    torch.testing.assert_close(found.value, torch.full((2, 8), 2.0), atol=1e-4, rtol=0)


@pytest.mark.parametrize("rows", [0, 1])
@pytest.mark.parametrize("name", SOLVERS)
def test_batches_of_none_and_one(name, rows):
    found = solve(lambda z: 0.5 * z + 1.0, torch.zeros(rows, 4), solver=SOLVERS[name])
    assert found.value.shape == (rows, 4)
    assert found.status.shape == found.residual.shape == (rows,)
    assert found.ok.all()


@pytest.mark.parametrize("name", SOLVERS)
def test_single_precision_and_non_contiguous_input(name):
    q = torch.linalg.qr(torch.randn(6, 6))[0]
    f = lambda z: 0.8 * torch.tanh(z) @ q + 0.3  # noqa: E731
    z0 = torch.zeros(6, 4).T
    assert not z0.is_contiguous()
    found = solve(f, z0, solver=SOLVERS[name], tolerance=1e-5, max_steps=200)
    assert found.value.dtype == torch.float32
    assert found.ok.all()


def test_states_of_several_tensors_and_images():
    def f(state):
        a, b = state
        return 0.5 * a + b.mean(dim=(1, 2, 3), keepdim=False)[:, None], 0.3 * b + 0.1

    found = solve(f, (torch.zeros(2, 3), torch.zeros(2, 1, 4, 4)), tolerance=1e-6, max_steps=100)
    assert found.ok.all()
    assert found.value[1].shape == (2, 1, 4, 4)


def test_a_rule_that_weighs_the_cost_chooses_another_iterate():
    last = {}

    def f(z):
        last["cost"] = (z - 0.4).abs()[:, 0]
        return 0.5 * z + 0.5

    z0 = torch.zeros(1, 1, dtype=torch.float64)
    by_residual = solve(f, z0, solver=Picard(), max_steps=10)
    by_cost = solve(
        f, z0, solver=Picard(), max_steps=10, cost=lambda z: last["cost"],
        accept=lambda p: p.cost < p.best_cost,
    )  # fmt: skip
    assert abs(float(by_cost.value) - 0.4) < abs(float(by_residual.value) - 0.4)


def test_options_that_cannot_be_meant_are_refused():
    with pytest.raises(ValueError, match="kind 1 or 2"):
        Anderson(kind=3)
    with pytest.raises(ValueError, match="memory"):
        Anderson(memory=0)
    with pytest.raises(ValueError, match="batch"):
        solve(lambda z: z, torch.tensor(1.0))


def test_every_status_has_its_sentence():
    assert all(status.sentence.endswith(".") for status in Status)
