"""Weighted, differentiable bundle adjustment (thesis ch. 4).

adjust(scene, pixels, target, weight, edges, camera)     a few steps under autograd
minimise(...)                                            the minimum, implicit gradient
flow_loss, pose_loss, heuristic_weight, clipped_gradient what a network is taught by
"""

from groundtools.layers.bundle.adjust import Adjusted, BundleStatus, adjust, minimise
from groundtools.layers.bundle.geometry import Edges, Scene, project, unit_rays
from groundtools.layers.bundle.losses import (
    clipped_gradient,
    flow_loss,
    heuristic_weight,
    pose_loss,
    total_pose_loss,
    weight_gradient,
    weighted_mean,
)

__all__ = [
    "Adjusted", "BundleStatus", "Edges", "Scene", "adjust", "clipped_gradient", "flow_loss",
    "heuristic_weight", "minimise", "pose_loss", "project", "total_pose_loss", "unit_rays",
    "weight_gradient", "weighted_mean",
]  # fmt: skip
