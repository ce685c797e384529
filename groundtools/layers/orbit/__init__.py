"""The flight program's orbit fit as a layer: weights in, orbit out, gradients back."""

from groundtools.layers.orbit.layer import HeldKernel, OrbitLayer, OrbitPoint

__all__ = ["HeldKernel", "OrbitLayer", "OrbitPoint"]
