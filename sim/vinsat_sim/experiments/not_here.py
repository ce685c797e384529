"""Published tables and figures that cannot be measured here, each with its reason.

They are entries like all others, so that `vinsat reproduce list` is complete; asked for,
each says its reason and does not pass.
"""

from groundtools.registry import Check, Reproduction

REASONS = {
    "t3.1": "FID on CelebA: neither the images nor Inception's weights come with a package",
    "t3.7": "97.33 % on Omniglot: the characters do not come with a package",
    "t4.1": "TartanAir does not come with a package; the thesis: 0.21 to 0.16 m, 24 % better",
    "t4.2": "EuRoC does not come with a package; the thesis: 0.105 to 0.117 m, 11 % worse",
    "t4.3": "TUM-RGBD does not come with a package; the thesis: 0.089 to 0.094 m, 6 % worse",
    "f8.11": "a flight of a Crazyflie: no hardware",
    "t8.1": "three flights of a Crazyflie: no hardware; one failure of three is 33 %, and says little",
}


def _entry(id_: str) -> Reproduction:
    reason = REASONS[id_]
    check = Check(name="can be measured here", value=reason, passed=False, threshold="the data or hardware")
    return Reproduction(id=id_, title=f"N: {reason}", run=lambda scale: (check,), seeds=lambda scale: ())


T3_1, T3_7, T4_1, T4_2, T4_3, F8_11, T8_1 = (_entry(id_) for id_ in REASONS)
