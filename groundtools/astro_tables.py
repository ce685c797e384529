"""Write the small tables of flightsw/astro/data from their public sources.

    python -m groundtools.astro_tables [eop|nutation|gravity ...]

eop       IERS Bulletin A (finals2000A.all) as packaged in astropy-iers-data
nutation  IAU 2000B: the first 77 luni-solar terms of IAU 2000A, as packaged in skyfield
gravity   EGM2008 to degree and order 20, as packaged in brahe
"""

import sys
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

import numpy as np

DATA = Path(str(files("flightsw.astro"))) / "data"
FIRST_MJD = 51_540  # 1999-12-28: two rows before 2000, for the four-point interpolation
STEP_DAYS = 3  # four-point interpolation of 3-day rows errs by less than 0.2 ms
GRAVITY_DEGREE = 20
NUTATION_TERMS = 77


def mjd_to_date(mjd: int) -> str:
    """Return the calendar date of a modified Julian date."""
    return str(np.datetime64("1858-11-17") + np.timedelta64(mjd, "D"))


def read_finals() -> tuple[list[tuple[int, float, float, float, float]], int]:
    """Return rows (mjd, ut1_utc_s, xp_arcsec, yp_arcsec, sigma_s) and the last observed mjd."""
    rows = []
    last_observed = 0
    for line in (files("astropy_iers_data") / "data" / "finals2000A.all").read_text().splitlines():
        if not line[58:68].strip() or not line[18:27].strip():
            break
        mjd = int(float(line[7:15]))
        rows.append((mjd, float(line[58:68]), float(line[18:27]), float(line[37:46]), float(line[68:78])))
        if line[57] == "I":
            last_observed = mjd
    return rows, last_observed


def write_eop() -> None:
    """Write earth_orientation.csv: every third day, and the last one."""
    rows, last_observed = read_finals()
    first, last = rows[0][0], rows[-1][0]
    start = last - (last - FIRST_MJD) // STEP_DAYS * STEP_DAYS - STEP_DAYS
    package = f"package astropy-iers-data {version('astropy-iers-data')}"
    lines = [
        "# Earth orientation, 0h UTC. Source: IERS Bulletin A, finals2000A.all",
        f"# ({package}; public), by groundtools/astro_tables.py.",
        f"# Observed until {mjd_to_date(last_observed)}, predicted until {mjd_to_date(last)}.",
        "mjd_utc,ut1_utc_s,xp_arcsec,yp_arcsec,sigma_ut1_s",
    ]
    for mjd in range(start, last + 1, STEP_DAYS):
        _, ut1, xp, yp, sigma = rows[mjd - first]
        lines.append(f"{mjd},{ut1:.5f},{xp:.4f},{yp:.4f},{max(sigma, 1e-5):.5f}")
    (DATA / "earth_orientation.csv").write_text("\n".join(lines) + "\n")


def write_nutation() -> None:
    """Write nutation_2000b.csv."""
    from skyfield import nutationlib

    lines = [
        "# Nutation IAU 2000B: luni-solar terms, IERS Conventions 2003 / McCarthy & Luzum 2003.",
        f"# Package skyfield {version('skyfield')} (77 rows), by groundtools/astro_tables.py.",
        "# Multipliers of l l' F D Om; unit 0.1 uas, rates per Julian century.",
        "l,lp,f,d,om,psi_sin,psi_sin_t,psi_cos,eps_cos,eps_cos_t,eps_sin",
    ]
    for i in range(NUTATION_TERMS):
        values = [
            *nutationlib.nals_t[i],
            *nutationlib.lunisolar_longitude_coefficients[i],
            *nutationlib.lunisolar_obliquity_coefficients[i],
        ]
        lines.append(",".join(f"{round(v)}" for v in values))
    (DATA / "nutation_2000b.csv").write_text("\n".join(lines) + "\n")


def write_gravity() -> None:
    """Write egm2008_20.csv: fully normalised coefficients."""
    import brahe

    model = brahe.GravityModel.from_model_type(brahe.GravityModelType.EGM2008_120)
    lines = [
        "# EGM2008 (Pavlis et al. 2012), tide free, fully normalised, truncated to degree and order 20.",
        f"# Package brahe {version('brahe')} (EGM2008_120; public, NGA), by groundtools/astro_tables.py.",
        f"# gm_m3_s2 = {model.gm!r}",
        f"# radius_m = {model.radius!r}",
        "n,m,c,s",
    ]
    for n in range(GRAVITY_DEGREE + 1):
        for m in range(n + 1):
            c, s = model.get(n, m)
            lines.append(f"{n},{m},{c!r},{s!r}")
    (DATA / "egm2008_20.csv").write_text("\n".join(lines) + "\n")


WRITERS = {"eop": write_eop, "nutation": write_nutation, "gravity": write_gravity}


def main(names: list[str]) -> None:
    """Write the named tables, or all."""
    for name in names or list(WRITERS):
        WRITERS[name]()


if __name__ == "__main__":
    main(sys.argv[1:])
