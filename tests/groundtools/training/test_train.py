"""Trainers: they learn, and a run that is killed ends where an undisturbed one does."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the train extra")
import torch

from flightsw.errors import InputError
from flightsw.vision.catalog import Catalog
from groundtools.training.ld_loss import ld_loss, stack
from groundtools.training.ld_net import STRIDE, JointNet
from groundtools.training.ld_samples import LdCrop
from groundtools.training.ld_train import LdRecipe, start_run, train_ld, train_step
from groundtools.training.rc_samples import RcView
from groundtools.training.rc_train import RcRecipe, train_rc
from groundtools.training.schedule import one_cycle

SIZE = 64  # px, of toy crops


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Toy networks are slower on several cores than on one."""
    torch.set_num_threads(1)


def toy_crop(rng: np.random.Generator, region: str = "17R") -> LdCrop:
    """Return a crop with up to two landmarks: a bright square (0) and a bright cross (1)."""
    image = np.full((3, SIZE, SIZE), -0.4, np.float32)
    uv_px = rng.uniform(12.0, SIZE - 12.0, (2, 2))
    visible = rng.uniform(size=2) < 0.8
    v, u = np.mgrid[:SIZE, :SIZE] + 0.5
    for k in np.flatnonzero(visible):
        du, dv = np.abs(u - uv_px[k, 0]), np.abs(v - uv_px[k, 1])
        shape = (np.maximum(du, dv) < 5) if k == 0 else ((np.minimum(du, dv) < 2) & (du + dv < 10))
        image[k if region == "17R" else 2 - k][shape] = 0.5
    return LdCrop(image, uv_px, visible, ~visible & False)


def toy_catalog(region: str) -> Catalog:
    zero = np.zeros(2)
    return Catalog(region, np.array([1, 2]), zero, zero, zero, zero)


@pytest.mark.verifies("TRN-002")
def test_two_detectors_with_one_trunk_learn_four_crops_by_heart() -> None:
    crops = [[toy_crop(np.random.default_rng([k, n]), name) for k in range(2)] for n, name in enumerate("ab")]
    recipe = LdRecipe(("a", "b"), steps=45, peak_rate=6e-3)
    run = start_run(recipe, {"a": 2, "b": 2})
    losses = [train_step(run, crops, recipe) for _ in range(recipe.steps)]
    assert losses[-1]["total"] < 0.35 * losses[0]["total"]
    net = run.net.eval()
    assert isinstance(net, JointNet)
    for name, some in zip("ab", crops, strict=True):
        for crop in some:
            heat, _ = net.detector(name).eval()(torch.from_numpy(crop.image)[None])
            for k in np.flatnonzero(crop.visible):
                row, column = divmod(int(heat[0, k].argmax()), SIZE // STRIDE)
                found = (np.array([column, row]) + 0.5) * STRIDE
                np.testing.assert_allclose(found, crop.uv_px[k], atol=1.5 * STRIDE)  # px


def test_the_loss_is_least_where_the_labels_are() -> None:
    crop = toy_crop(np.random.default_rng(1))
    batch = stack([crop])
    cells = SIZE // STRIDE

    def total(shift: int) -> float:
        heat = torch.full((1, 2, cells, cells), -6.0)
        offset = torch.zeros(1, 2, cells, cells)
        for k in np.flatnonzero(crop.visible):
            u, v = crop.uv_px[k] / STRIDE
            heat[0, k, int(v), (int(u) + shift) % cells] = 6.0
        return float(ld_loss(heat, offset, batch)["total"])

    assert total(0) < min(total(2), total(-2), total(5))


@pytest.mark.verifies("TRN-003")
def test_a_run_killed_hard_ends_where_an_undisturbed_one_does(tmp_path: Path) -> None:
    script = textwrap.dedent(
        """
        import sys, time, torch
        from pathlib import Path
        sys.path.insert(0, sys.argv[2])
        torch.set_num_threads(1)
        import test_train as t
        def draw(rng, name):
            time.sleep(float(sys.argv[3]))
            return t.toy_crop(rng)
        recipe = t.LdRecipe(("17R",), steps=12, per_region=2)
        t.train_ld(recipe, {"17R": t.toy_catalog("17R")}, path=Path(sys.argv[1]), save_every=2, draw=draw)
        """
    )
    here = str(Path(__file__).parent)
    killed, whole = tmp_path / "killed.pt", tmp_path / "whole.pt"
    first = subprocess.Popen(
        [sys.executable, "-c", script, str(killed), here, "0.15"], stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120.0
    while not killed.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    step = torch.load(killed, weights_only=True)["step"]
    assert 0 < step < 12
    for path in (killed, whole):
        subprocess.run([sys.executable, "-c", script, str(path), here, "0"], check=True, capture_output=True)
    one, other = (torch.load(path, weights_only=True) for path in (killed, whole))
    assert one["step"] == other["step"] == 12
    for kind in ("net", "average"):
        for key, value in one[kind].items():
            torch.testing.assert_close(value, other[kind][key], rtol=0.0, atol=0.0)


def test_a_checkpoint_of_another_recipe_is_refused(tmp_path: Path) -> None:
    catalogs = {"17R": toy_catalog("17R")}
    path = tmp_path / "run.pt"
    train_ld(LdRecipe(("17R",), steps=1), catalogs, path=path, draw=toy_crop)
    with pytest.raises(InputError, match="another recipe"):
        train_ld(LdRecipe(("17R",), steps=2), catalogs, path=path, draw=toy_crop)


def test_the_classifier_trains(tmp_path: Path) -> None:
    def draw(rng: np.random.Generator) -> RcView:
        kind = int(rng.integers(2))
        image = rng.normal(0.0, 0.1, (3, 64, 128)).astype(np.float32)
        image[kind] += 1.0
        label = np.zeros(17, np.float32)
        label[kind] = 1.0
        return RcView(image, label, label[:2])

    recipe = RcRecipe(steps=12, batch=8, pretrained=False)
    run = train_rc(recipe, [toy_catalog("17R")], path=tmp_path / "rc.pt", draw=draw)
    views = [draw(np.random.default_rng([5, k])) for k in range(8)]
    run.net.eval()
    with torch.inference_mode():
        logits = run.net(torch.from_numpy(np.stack([view.image for view in views])))
    assert logits.shape == (8, 17)
    assert bool(torch.isfinite(logits).all())


def test_the_rate_rises_then_falls() -> None:
    rates = [one_cycle(step, 100, 1.0) for step in range(101)]
    assert max(rates) == pytest.approx(1.0)
    assert rates[0] < 0.3
    assert rates[-1] < 0.02
