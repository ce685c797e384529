"""Joint inference and input optimisation for equilibrium models (thesis ch. 3).

To minimise a loss over the input x of a model z = f(z, x), solve for the model's state,
its multiplier and the input as one fixed point instead of one inside the other.
`optimise` has the joint iteration and its gradients, `nested` the usual way to compare
with (Adam, projected gradient), `models` a decoder and a classifier, `restore` inverse
problems on images.
"""

from groundtools.layers.jiio.nested import adam, layer_residual, pgd, solved
from groundtools.layers.jiio.optimise import Joint, attach, optimize_input, parameter_loss

__all__ = ["Joint", "adam", "attach", "layer_residual", "optimize_input", "parameter_loss", "pgd", "solved"]
