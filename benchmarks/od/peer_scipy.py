"""scipy.optimize.least_squares with its own finite differences."""

from problem import ENOUGH, STATE_UNIT, main, whitened_alone
from scipy.optimize import least_squares

if __name__ == "__main__":

    def solve(problem, sightings):
        """Fit by trust region, scaled variables, 2-point differences."""
        start = problem.start / STATE_UNIT
        fit = least_squares(whitened_alone(problem, sightings), start, x_scale="jac", ftol=ENOUGH)
        return fit.x * STATE_UNIT, fit.nfev

    main(solve)
