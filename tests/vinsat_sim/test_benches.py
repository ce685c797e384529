from vinsat_sim import benches


def test_the_propagation_bench_compares_like_with_like():
    checks = {check.name: check for check in benches.propagation()}
    assert checks["difference_after_6_h_m"].passed  # the same forces give the same orbit
    assert checks["brahe_s"].value > 0.0
