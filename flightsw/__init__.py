"""The flight program of vinsat: frames in, orbit out. This page is the conventions page.

Units     SI inside (m, s, rad, kg), without a suffix. Anything else carries one
          (`_px`, `_deg`, `_km`, `_ms`). At a boundary (TOML key, file column, flag,
          telemetry field) the unit is always in the name, SI too.
Names     quantity, subject, frame, unit, in that order: `r_eci`, `r_landmark_ecef`,
          `lat_deg`, `uv_px`. Rotations read `to_from` and neighbours match:
          `cam_from_eci = cam_from_body @ body_from_eci`. Functions too: `ecef_from_lla`.
Frames    eci   GCRF axes, origin at the Earth's centre
          ecef  ITRF, Earth-fixed
          body  +z to the geodetic nadir, +x along the velocity, +y completes (nominal)
          cam   +z out of the lens, +x along image u (right), +y along image v (down)
Attitude  quaternions are scalar-first Hamilton [w, x, y, z], unit norm; q written
          `cam_from_eci` acts as v_cam = R(q) v_eci.
Pixels    u right, v down; the origin is the OUTER CORNER of the first pixel, so the
          centre of the first pixel is (0.5, 0.5) and resizing is a pure factor.
Shapes    points are rows (N, 3), pixels (N, 2), Jacobians (N, m, n).
Time      `Epoch` at boundaries; inside an arc, floats in seconds past its epoch.
Outcomes  a numerical outcome is a value (`Solution.status`), never an exception. Bad
          geometry gives NaN and a mask. A caller's mistake raises (`flightsw.errors`).
Walls     runtime > (vision | estimate) > camera > astro. Vision and estimate do not
          know each other. Only `vision.session` imports onnxruntime.
"""
