"""GTSAM's Levenberg-Marquardt on one custom factor of all detections, analytic Jacobian."""

import gtsam
import numpy as np
from problem import ENOUGH, STATE_UNIT, main, whitened

if __name__ == "__main__":

    def solve(problem, sightings):
        """Fit; a factor's error and Jacobian at one point are computed once."""
        both, last = whitened(problem, sightings), {}

        def factor_error(this, values, jacobians):
            z = values.atVector(this.keys()[0])
            key = z.tobytes()
            if last.get("key") != key:
                last.update(key=key, value=both(z))
            e, jacobian = last["value"]
            if jacobians is not None:
                jacobians[0] = np.asfortranarray(jacobian)
            return e

        graph, values = gtsam.NonlinearFactorGraph(), gtsam.Values()
        noise = gtsam.noiseModel.Unit.Create(2 * len(sightings))
        graph.add(gtsam.CustomFactor(noise, [0], factor_error))
        values.insert(0, problem.start / STATE_UNIT)
        how = gtsam.LevenbergMarquardtParams()
        how.setRelativeErrorTol(ENOUGH)
        optimizer = gtsam.LevenbergMarquardtOptimizer(graph, values, how)
        result = optimizer.optimize()
        return result.atVector(0) * STATE_UNIT, optimizer.iterations()

    main(solve)
