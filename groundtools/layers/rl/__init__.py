"""Learning to control: SAC, and value gradients of a wrong model (thesis ch. 5).

A task is taken by protocol (`vinsat_sim.dynamics` has some): rows x (B, n), actions a (B, m)
in [-1, 1], `features(x)` what networks see, `reward(x, a)`, and `gradients(x, a)` of a nominal
model. Environments: `x`, `step(a)`, `state_dict()`.

sac.SAC(task, critic_losses=[valuegrad.loss()])   the value gradient is a critic loss given to SAC
train.fit                                         a learner, a curve, checkpoints that resume exactly

Everything random comes from a learner's own generator, so that a checkpoint resumes bit by bit.
"""
