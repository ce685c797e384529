import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the layers need the extra [layers]")
sys.path.insert(0, str(Path(__file__).parent))
from bundle_scene import CAMERA, made  # noqa: E402
from scipy.optimize import least_squares as scipy_least_squares  # noqa: E402

from groundtools.layers.bundle import (  # noqa: E402
    BundleStatus,
    Scene,
    adjust,
    clipped_gradient,
    flow_loss,
    heuristic_weight,
    minimise,
    pose_loss,
    project,
    unit_rays,
    weight_gradient,
    weighted_mean,
)
from groundtools.layers.bundle.adjust import BundleProblem  # noqa: E402
from groundtools.layers.core import check_gradient  # noqa: E402
from groundtools.layers.core.lie import se3_log  # noqa: E402


def stacked(scene):
    return torch.cat([
        scene.rotation.flatten(1), scene.translation.flatten(1), scene.inverse_depth
    ], dim=1)  # fmt: skip


def test_the_normal_equations_are_those_of_autograd():
    _, start, pixels, target, weight, edges = made(points=6, frames=3)
    problem = BundleProblem(unit_rays(CAMERA, pixels), target, weight, edges, CAMERA, 0)
    system = problem.system(start)
    root = weight.sqrt().reshape(-1)

    def residual(z):
        moved = start.moved(z[None, :18].reshape(1, 3, 6), z[None, 18:])
        return root * (target - project(moved, problem.rays, edges, CAMERA).uv_px).reshape(-1)

    zero = torch.zeros(24, dtype=torch.float64)
    j, e = torch.func.jacrev(residual)(zero), residual(zero)
    h = j.T @ j
    assert torch.allclose(system.u[0], h[:18, :18], rtol=1e-10, atol=1e-8)
    assert torch.allclose(system.w[0], h[:18, 18:], rtol=1e-10, atol=1e-8)
    assert torch.allclose(system.v[0], h[18:, 18:].diagonal(), rtol=1e-10, atol=1e-8)
    assert torch.allclose(system.gradient_pose[0], (j.T @ e)[:18], rtol=1e-10, atol=1e-8)
    assert torch.allclose(system.gradient_depth[0], (j.T @ e)[18:], rtol=1e-10, atol=1e-8)


@pytest.mark.verifies("LAY-020")
def test_the_minimum_of_exact_pixels_is_the_scene():
    truth, start, pixels, target, weight, edges = made(batch=2)
    found = minimise(start, pixels, target, weight, edges, CAMERA, fixed=2)
    assert (found.status == BundleStatus.OK).all()
    assert torch.allclose(stacked(found.scene), stacked(truth), atol=1e-7)


@pytest.mark.verifies("LAY-020")
def test_the_minimum_is_scipys():
    _, start, pixels, target, weight, edges = made(frames=4, points=12, noise=0.5)
    found = minimise(start, pixels, target, weight, edges, CAMERA, fixed=2)
    rays = unit_rays(CAMERA, pixels)

    def residual(z):
        z = torch.as_tensor(z)
        twist = torch.cat([torch.zeros(12, dtype=torch.float64), z[:12]]).reshape(1, 4, 6)
        seen = project(start.moved(twist, z[None, 12:]), rays, edges, CAMERA)
        return (weight.sqrt() * (target - seen.uv_px)).reshape(-1).numpy()

    other = scipy_least_squares(residual, np.zeros(24), x_scale="jac", xtol=1e-14, ftol=1e-14, gtol=1e-12)
    z = torch.as_tensor(other.x)
    twist = torch.cat([torch.zeros(12, dtype=torch.float64), z[:12]]).reshape(1, 4, 6)
    assert torch.allclose(stacked(found.scene), stacked(start.moved(twist, z[None, 12:])), rtol=0, atol=1e-6)


@pytest.mark.verifies("LAY-020")
@pytest.mark.filterwarnings("ignore")  # gtsam's module initialisation warns
def test_the_minimum_is_gtsams():
    gtsam = pytest.importorskip("gtsam", reason="the oracle needs the extra [oracles]")
    _, start, pixels, target, _, edges = made(frames=4, points=12, noise=0.3)
    weight = torch.ones_like(target)
    # GTSAM's own projections and steps; its points are rays with an inverse depth, as ours
    found = minimise(start, pixels, target, weight, edges, CAMERA, fixed=2)
    k = gtsam.Cal3_S2(CAMERA.fx_px, CAMERA.fy_px, 0.0, CAMERA.cx_px, CAMERA.cy_px)
    graph, values = gtsam.NonlinearFactorGraph(), gtsam.Values()
    for f in range(4):
        r, t = start.rotation[0, f].numpy(), start.translation[0, f].numpy()
        values.insert(f, gtsam.Pose3(gtsam.Rot3(r.T), -r.T @ t))
        if f < 2:
            graph.add(gtsam.PriorFactorPose3(f, values.atPose3(f), gtsam.noiseModel.Isotropic.Sigma(6, 1e-9)))
    for p in range(12):
        values.insert(100 + p, start.inverse_depth[0, p : p + 1].numpy())

    def predicted(i, j, p, depth):
        ray = gtsam.PinholeCameraCal3_S2(i, k)
        return gtsam.PinholeCameraCal3_S2(j, k).project(ray.backproject(pixels[0, p].numpy(), 1.0 / depth[0]))

    def factor(n):
        i, j, p = int(edges.origin[n]), int(edges.frame[n]), int(edges.point[n])

        def error(this, at, jacobians):
            pose_i, pose_j, d = at.atPose3(i), at.atPose3(j), at.atVector(100 + p)
            if jacobians is not None:
                step = 1e-6

                def slope(move, size):
                    pairs = [(move(step * e), move(-step * e)) for e in np.eye(size)]
                    return np.stack([(a - b) / (2.0 * step) for a, b in pairs], axis=1)

                jacobians[0] = slope(lambda e: predicted(pose_i.retract(e), pose_j, p, d), 6)
                jacobians[1] = slope(lambda e: predicted(pose_i, pose_j.retract(e), p, d), 6)
                jacobians[2] = slope(lambda e: predicted(pose_i, pose_j, p, d + e), 1)
            return predicted(pose_i, pose_j, p, d) - target[0, n].numpy()

        return gtsam.CustomFactor(gtsam.noiseModel.Isotropic.Sigma(2, 1.0), [i, j, 100 + p], error)

    for n in range(len(edges.point)):
        graph.add(factor(n))
    limits = gtsam.LevenbergMarquardtParams()
    limits.setRelativeErrorTol(1e-16)
    limits.setAbsoluteErrorTol(1e-16)
    out = gtsam.LevenbergMarquardtOptimizer(graph, values, limits).optimize()
    assert graph.error(out) == pytest.approx(found.cost.item(), rel=1e-6)
    for f in range(4):
        pose = out.atPose3(f)
        r = pose.rotation().matrix().T
        assert np.allclose(r, found.scene.rotation[0, f].numpy(), atol=1e-6)
        assert np.allclose(-r @ pose.translation(), found.scene.translation[0, f].numpy(), atol=1e-6)


@pytest.mark.verifies("LAY-021")
def test_the_steps_have_their_exact_gradient():
    _, start, pixels, target, weight, edges = made(frames=3, points=8, noise=1.0)

    def layer(t, w, d):
        scene = Scene(start.rotation, start.translation, d)
        return stacked(adjust(scene, pixels, t, w, edges, CAMERA, steps=2, fixed=1).scene)

    assert check_gradient(layer, target, weight, start.inverse_depth).passed(1e-5)


@pytest.mark.verifies("LAY-021")
def test_the_minimum_has_its_exact_gradient_with_outliers_too():
    _, start, pixels, target, weight, edges = made(frames=3, points=10, noise=1.0)
    target[0, :6] += 4.0  # px: residuals that do not vanish, so that second derivatives count

    def layer(t, w, p):
        return stacked(minimise(start, p, t, w, edges, CAMERA, fixed=2, max_steps=400).scene)

    assert check_gradient(lambda t, p: layer(t, weight, p), target, pixels, step=1e-6).passed(1e-5)
    assert check_gradient(lambda w: layer(target, w, pixels), weight, step=1e-4).passed(1e-5)


@pytest.mark.verifies("LAY-022")
@pytest.mark.parametrize("solve", [adjust, minimise])
def test_degenerate_scenes_have_a_status_and_finite_values(solve):
    truth, start, pixels, target, weight, edges = made()
    still = Scene(truth.rotation, torch.zeros_like(truth.translation), truth.inverse_depth)
    rays = unit_rays(CAMERA, pixels)
    turned = project(still, rays, edges, CAMERA).uv_px
    behind = Scene(truth.rotation.clone(), truth.translation.clone(), truth.inverse_depth)
    turn = torch.diag(torch.tensor([-1.0, 1.0, -1.0], dtype=torch.float64))
    behind.rotation[:, 1::2] = turn @ behind.rotation[:, 1::2]
    behind.rotation[:, 2::2] = behind.rotation[:, 2::2]
    cases = {
        BundleStatus.NO_PARALLAX: (still, turned, weight, 1),
        BundleStatus.NO_WEIGHT: (start, target, torch.zeros_like(weight), 1),
        BundleStatus.ONE_FRAME: (start, target, weight, 4),
        BundleStatus.NOT_FINITE: (start, target * torch.nan, weight, 1),
    }
    for status, (scene, where, w, fixed) in cases.items():
        found = solve(scene, pixels, where, w, edges, CAMERA, fixed=fixed)
        assert found.status.tolist() == [status], status
        assert torch.isfinite(stacked(found.scene)).all()
        assert len(BundleStatus(int(found.status[0])).sentence) > 10


def test_a_scene_wholly_behind_the_cameras_has_no_weight():
    _, start, pixels, target, weight, edges = made()
    away = Scene(start.rotation, start.translation + torch.tensor([0.0, 0.0, -9.0]), start.inverse_depth)
    away.translation[:, 0] = 9.0
    found = adjust(away, pixels, target, weight, edges, CAMERA)
    assert torch.isfinite(stacked(found.scene)).all()


def test_a_broken_scene_leaves_its_neighbours_alone():
    _, start, pixels, target, weight, edges = made(batch=2)
    broken = target.clone()
    broken[0] = torch.nan
    found = adjust(start, pixels, broken, weight, edges, CAMERA)
    alone = adjust(start, pixels, target, weight, edges, CAMERA)
    assert found.status.tolist() == [BundleStatus.NOT_FINITE, BundleStatus.OK]
    assert torch.allclose(stacked(found.scene)[1], stacked(alone.scene)[1])


def test_a_distorting_camera_is_refused():
    from dataclasses import replace

    camera = replace(CAMERA, distortion=(0.1, 0.0, 0.0, 0.0, 0.0))
    with pytest.raises(ValueError, match="undistort"):
        unit_rays(camera, torch.zeros(1, 1, 2))


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
def test_the_weighted_flow_loss_is_its_formula_and_holds_the_weights(power):
    truth = torch.tensor([[[3.0, 4.0], [1.0, 0.0]]], dtype=torch.float64)
    weight = torch.tensor([[[0.25, 0.25], [1.0, 1.0]]], dtype=torch.float64, requires_grad=True)
    predicted = torch.zeros(1, 2, 2, dtype=torch.float64, requires_grad=True)
    valid = torch.ones(1, 2, dtype=torch.bool)
    loss = flow_loss(predicted, truth, weight=weight, power=power, valid=valid)
    assert loss.item() == pytest.approx((0.25**power * 5.0 + 1.0) / 2.0)
    loss.sum().backward()
    assert weight.grad is None
    assert torch.isfinite(predicted.grad).all()


def test_the_pose_loss_is_zero_at_the_truth_and_the_twist_beside_it():
    truth, *_ = made(frames=2)
    step = torch.zeros(1, 2, 6, dtype=torch.float64)
    step[:, 0] = torch.tensor([0.01, -0.02, 0.03, 0.004, 0.005, -0.006])
    zero = torch.zeros_like(truth.inverse_depth)
    assert pose_loss(truth, truth).item() == pytest.approx(0.0, abs=1e-5)
    # G_i G_j^-1 moves by exp(xi) on the left; seen behind it, by its adjoint
    moved = truth.moved(step, zero)
    assert 0.01 < pose_loss(moved, truth).item() < 0.2
    assert se3_log(moved.rotation, moved.translation).isfinite().all()


def test_heuristic_weights_fall_with_the_error_and_have_no_poles():
    truth = torch.zeros(1, 3, 2)
    predicted = torch.tensor([[[0.0, 0.0], [-1.0, 0.0], [5.0, 0.0]]])
    w = heuristic_weight(predicted, truth)[0, :, 0]
    assert w[0] == 1.0
    assert w[1] == pytest.approx(0.2)
    assert w[2] < w[1]


@pytest.mark.verifies("LAY-021")
def test_the_toys_weight_gradient_is_autograds_and_positive_for_a_heavy_outlier():
    values = torch.tensor([1.0, 1.1, 0.9, 6.0], dtype=torch.float64)
    weight = torch.ones(4, dtype=torch.float64, requires_grad=True)
    (weighted_mean(values, weight) - 1.0).abs().backward()
    assert torch.allclose(weight.grad, weight_gradient(values, weight.detach(), 1.0))
    assert weight.grad[3] > 0.0
    # Equal weights: the gradients sum to zero. No bias of their mean follows from 4.13 alone.
    assert weight.grad.sum().item() == pytest.approx(0.0, abs=1e-12)


def test_gradients_through_weights_are_held_within_their_limit():
    weight = torch.ones(3, requires_grad=True)
    (clipped_gradient(weight, 0.1) * torch.tensor([5.0, -5.0, torch.nan])).sum().backward()
    assert weight.grad.tolist() == pytest.approx([0.1, -0.1, 0.0])
