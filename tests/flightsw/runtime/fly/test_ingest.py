"""A flown payload's telemetry, over a link that loses and repeats, becomes its products on the ground."""

import json
import time

import pytest

from groundtools import cli
from groundtools.link.client import Credentials, Ground
from groundtools.link.streams import RecordedStream, TcpStream
from groundtools.link.transfer import get_file


class BadLink:
    """A stream of which some pieces never come and some come twice."""

    def __init__(self, stream, rng):
        self._stream, self._rng = stream, rng
        self.send, self.close = stream.send, stream.close

    def receive(self, timeout_s):
        data, fate = self._stream.receive(timeout_s), self._rng.random()
        return b"" if fate < 0.1 else data * (2 if fate > 0.9 else 1)


@pytest.mark.slow  # two passes in accelerated time
@pytest.mark.verifies("PRD-014")
def test_a_flight_over_a_bad_link_gives_the_products_of_the_payloads_own_file(rig, rng, tmp_path):
    rig.write(clock=rig.scaled_clock(100.0))
    rig.start()
    rig.ground().close()
    record = tmp_path / "pass.bin"
    stream = RecordedStream(BadLink(TcpStream("127.0.0.1", rig.port), rng), record)
    ground = Ground(stream, Credentials(rig.folder / "keys"))
    rig.grounds.append(ground)
    onboard = rig.folder / "products" / "solution.json"
    end = time.monotonic() + 400.0
    while not onboard.exists() or json.loads(onboard.read_text())["status"] != "DETERMINED":
        assert time.monotonic() < end
        ground.listen(0.5)
    for _ in range(20):  # what waits to be sent
        ground.listen(0.2)
    get_file(ground, "products/solution.json", tmp_path / "down")
    ground.close()
    assert cli.main(["ground", "ingest", str(record), "--out", str(tmp_path / "out")]) in (0, 5)
    assert (tmp_path / "out" / "solution.json").read_bytes() == onboard.read_bytes()
    said = json.loads((tmp_path / "out" / "ingest.json").read_text())
    assert said["repeated"] > 0
    assert said["gaps"]
    assert {"report.html", "orbit.oem", "elements.omm"} <= set(said["products"])
