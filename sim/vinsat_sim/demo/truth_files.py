"""The truth of a demo as files, written when the flight program has ended."""

import csv
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np

from vinsat_sim.demo.draw import Draw

STATES, DRAWN = "states.csv", "draw.json"


def write_truth(folder: Path, drawn: Draw) -> None:
    """Write the true states (columns as in ephemeris.csv, GCRF) and what was drawn."""
    folder.mkdir(exist_ok=True)
    arc = drawn.arc
    with (folder / STATES).open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["time_utc", "x_m", "y_m", "z_m", "vx_m_s", "vy_m_s", "vz_m_s"])
        for t_s, state in zip(arc.t_s, arc.state_eci):
            time_utc = (arc.epoch + float(t_s)).utc_iso(digits=6)
            writer.writerow([time_utc, *(f"{x:.4f}" for x in state[:3]), *(f"{v:.7f}" for v in state[3:])])
    content = {
        "seed": drawn.seed,
        "draws": drawn.draws,
        "daylit_passes": drawn.passes,
        "family": drawn.family,
        "epoch_utc": arc.epoch.utc_iso(digits=6),
        "elements_m_rad": asdict(drawn.elements),
        "pointing_offset_deg": np.degrees(drawn.offset_rad).tolist(),
        "cloud_cover": drawn.cloud_cover,
        "cloud_seed": drawn.cloud_seed,
    }
    (folder / DRAWN).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
