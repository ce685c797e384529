"""HOUSEKEEPING: how the payload is, regularly and in every mode."""

import os
from typing import TYPE_CHECKING

from flightsw.astro.time import NS
from flightsw.runtime.fly.ports import DeviceError, Gyro
from flightsw.runtime.store.records import Stamp
from flightsw.runtime.store.store import StoreMode

if TYPE_CHECKING:
    from flightsw.runtime.fly.payload import Payload


MOST_U16 = 0xFFFF


class Reporting:
    """Looks at heat, memory and gyro, and queues the packet."""

    def __init__(self, payload: "Payload", gyro: Gyro, *, boot: int) -> None:
        self._payload, self._gyro, self._boot = payload, gyro, boot
        self._started = payload.journal.clock.now().mono_ns
        self._last: int | None = None
        self._gyro_lost = False
        self.pid = os.getpid()

    def step(self, now: Stamp) -> None:
        """Queue a packet where one is due."""
        period_ns = self._payload.parameters["housekeeping_period_s"] * NS
        if self._last is not None and now.mono_ns - self._last < period_ns:
            return
        self._last = now.mono_ns
        p = self._payload
        memory, heat = p.look_after_heat_and_memory()
        x, y, z = self._rates(now)
        short = {
            "inference_restarts": p.looking.worker.restarts,
            "orbit_restarts": p.orbit.worker.restarts,
            "copies_mended": p.journal.store.mended + p.models.mended,
        }
        values = {
            "boot": self._boot,
            "uptime_s": (now.mono_ns - self._started) // NS,
            "mode": int(p.mode),
            "reason": p.reason,
            "store_mode": int(p.journal.store.mode is StoreMode.RAM),
            "command_counter": p.gate.counter,
            "commands_accepted": p.gate.accepted,
            **{reason.value: count for reason, count in p.gate.rejected.items()},
            "frames_taken": p.imaging.taken,
            "frames_with_fix": p.looking.fixes,
            "frames_dropped": p.looking.dropped + p.imaging.unwritten,
            "observations": p.looking.in_arc,
            "arc": p.arcs.arc,
            **{name: min(count, MOST_U16) for name, count in short.items()},
            "packets_dropped": p.journal.telemetry.dropped,
            "records_lost": p.journal.store.lost,
            "memory_mb": memory,
            "temperature_celsius": heat,
            "solution_status": p.orbit.status,
            "wx_rad_s": x,
            "wy_rad_s": y,
            "wz_rad_s": z,
        }
        p.journal.telemetry.put("HOUSEKEEPING", now.tai_ns, values)

    def _rates(self, now: Stamp) -> tuple[float, float, float]:
        """Return the gyro's rates; zeros, and an event, where it is gone."""
        try:
            rates = self._gyro.read(now)
        except DeviceError as error:
            if not self._gyro_lost:
                self._payload.journal.event("GYRO_LOST", detail=str(error))
            self._gyro_lost = True
            return (0.0, 0.0, 0.0)
        if self._gyro_lost:
            self._gyro_lost = False
            self._payload.journal.event("GYRO_BACK")
        return rates
