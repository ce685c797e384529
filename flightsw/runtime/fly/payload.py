"""The payload: one loop that takes commands, takes frames, has them looked at, has the orbit
estimated, keeps everything, and tells the ground.

`step` does all that is due at one instant and never waits, except in lock-step, where it
waits for the workers so that a run is the same every time. Everything that answers for
its health is called from here: the watchdogs are fed at the end of a step, so a driver or
a disk that hangs ends in a restart.
"""

import hashlib
import json
import select
from pathlib import Path

from flightsw.astro.time import NS
from flightsw.runtime.fly.arcs import ArcWatch
from flightsw.runtime.fly.comms import Comms
from flightsw.runtime.fly.config import PayloadConfig
from flightsw.runtime.fly.health import NO_SENSOR, Watchdogs, memory_mb, temperature
from flightsw.runtime.fly.image_plan import PlanDesk
from flightsw.runtime.fly.imaging import Imaging
from flightsw.runtime.fly.journal import Journal
from flightsw.runtime.fly.looking import Looking
from flightsw.runtime.fly.model_sets import ModelSets
from flightsw.runtime.fly.modes import Mode, may_follow
from flightsw.runtime.fly.orbit_desk import OrbitDesk
from flightsw.runtime.fly.orders import Orders
from flightsw.runtime.fly.parameters import Parameters
from flightsw.runtime.fly.ports import Gyro
from flightsw.runtime.fly.reporting import Reporting
from flightsw.runtime.fly.schedule import Schedule
from flightsw.runtime.link import dictionary as dic
from flightsw.runtime.link.commands import CommandGate
from flightsw.runtime.link.downlink import Downlink
from flightsw.runtime.link.uplink import Uplink
from flightsw.runtime.store.records import Stamp

DOWNLINK_IDLE_S = 60.0  # without a file to send, before DOWNLINK ends
WORKERS = (Mode.IMAGING, Mode.COMPUTE)  # modes in which workers may run
LONGEST_WAIT_S = 0.2


class Payload:
    """All of it, put together; see `flightsw.runtime.fly.assembly` for how.

    mode : present mode; ends : the program is to end after this step.
    """

    def __init__(
        self,
        config: PayloadConfig,
        journal: Journal,
        gate: CommandGate,
        comms: Comms,
        imaging: Imaging,
        looking: Looking,
        orbit: OrbitDesk,
        models: ModelSets,
        arcs: ArcWatch,
        parameters: Parameters,
        plans: PlanDesk,
        gyro: Gyro,
        watchdogs: Watchdogs,
        *,
        boot: int,
    ) -> None:
        self.config, self.journal, self.gate, self.comms = config, journal, gate, comms
        self.imaging, self.looking, self.orbit = imaging, looking, orbit
        self.models, self.arcs, self.parameters, self.plans = models, arcs, parameters, plans
        self.watchdogs = watchdogs
        limits = config.limits
        self.schedule = Schedule(
            imaging_w=limits.imaging_w, computing_w=limits.computing_w, charge_w=limits.charge_w
        )
        self.schedule.set_forecast(orbit.solution["sun"])
        folders = {"products": Path(config.paths.products), "frames": Path(config.paths.frames)}
        self.downlink = Downlink(folders)
        self._orders = Orders(self, self.downlink, self._new_uplink())
        self.reporting = Reporting(self, gyro, boot=boot)
        self.mode, self.reason, self.ends = Mode.BOOT, 0, False
        now = journal.clock.now()
        self._mode_since = self._retried = self._scrubbed = now.mono_ns
        self._is_hot = False

    def step(self) -> None:
        """Do all that is due now."""
        now = self.journal.clock.now()
        if self.arcs.watch(now):
            self.arc_began()
        self.comms.receive(self._orders.carry_out)
        self._look_and_estimate(now)
        self._decide(now)
        self._take_frames(now)
        if self.journal.clock.is_lockstep:
            self._finish_work(now)
        self.reporting.step(now)
        self.downlink.fill(self.journal.telemetry, now.tai_ns)
        self.journal.commit()
        self._maintain(now)
        self.comms.send(now, bytes_s=self.parameters["downlink_bytes_s"])
        self.watchdogs.feed(self.mode.name)

    def change_mode(self, mode: Mode, *, reason: str = "") -> bool:
        """Go to another mode where the table allows it; tell whether it does.

        reason : name of the event that led to it.
        """
        if mode is self.mode:
            return True
        if not may_follow(self.mode, mode):
            return False
        cause = dic.event(reason)
        number = 0 if cause is None else cause.id
        self.journal.event("MODE_CHANGED", value=number, detail=f"{self.mode.name} {mode.name}")
        if self.mode is Mode.IMAGING:
            self.imaging.stop()
        if mode not in WORKERS:
            self.looking.stop()
            self.orbit.stop()
        elif self.config.inference.kind == "observations" or not self.models.problem:
            self.looking.worker.start()
        self.mode, self.reason = mode, number
        self._mode_since = self.journal.clock.now().mono_ns
        return True

    def arc_began(self) -> None:
        """Take note of a new arc: nothing found before it counts."""
        self.looking.in_arc = 0
        self.orbit.forget_arc()
        self.schedule.set_forecast([])

    def set_time(self, tai_ns: int) -> None:
        """Set the clock; the next step finds it stepped and begins a new arc."""
        clock = self.journal.clock
        offset = int(self.journal.load("clock", {"offset_ns": 0})["offset_ns"]) + tai_ns - clock.now().tai_ns
        clock.set_offset(offset)
        self.journal.save("clock", {"offset_ns": offset})

    def aim_uplink(self) -> None:
        """Uplink to the set that is not in use now."""
        self._orders.aim(self._new_uplink())

    def digest(self) -> str:
        """Return a fingerprint of what the payload knows: equal runs have equal ones."""
        state = [
            self.mode.name, self.arcs.arc, self.imaging.taken, self.looking.fixes, self.gate.counter,
            self.orbit.solution["text"],
        ]  # fmt: skip
        return hashlib.sha256(json.dumps(state).encode()).hexdigest()[:16]

    def wait_s(self) -> float:
        """Return how long nothing is due, s."""
        busy = self.comms.has_work or self.downlink.is_busy
        return 0.01 if busy else LONGEST_WAIT_S

    def readers(self) -> list[int]:
        """Return file descriptors whose news end the wait."""
        return self.comms.readers() + self.looking.worker.readers() + self.orbit.worker.readers()

    def close(self) -> None:
        """End the workers, keep everything, let go."""
        self.looking.stop()
        self.orbit.stop()
        self.imaging.stop()
        self.journal.event("SHUT_DOWN")
        self.comms.send(self.journal.clock.now(), bytes_s=self.parameters["downlink_bytes_s"])
        self.comms.close()
        self.journal.store.close()
        self.watchdogs.close()

    def _look_and_estimate(self, now: Stamp) -> None:
        may = self.mode in WORKERS
        if self.looking.step(may_start=may and not self.models.problem):
            self.change_mode(Mode.SAFE, reason="WORKER_GIVEN_UP")
        period_s = self.parameters["estimate_period_s"]
        if self.orbit.step(now, self.looking.in_arc, may_start=may, period_s=period_s):
            self.schedule.set_forecast(self.orbit.solution["sun"])

    def _take_frames(self, now: Stamp) -> None:
        if self.mode is Mode.IMAGING and self.imaging.is_usable(now):
            window = self.plans.plan.window(now.tai_ns)
            period_s = self.parameters["image_period_s"] if window is None else window.cadence_s
            self.looking.add(self.imaging.step(now, period_s=period_s, arc=self.arcs.arc))

    def _decide(self, now: Stamp) -> None:
        """Choose the mode by the schedule, the heat and what there is to do."""
        p = self.parameters
        self.schedule.advance(now, self.mode, energy_j=p["energy_j"])
        if self.mode is Mode.DOWNLINK:
            quiet = now.mono_ns - self._mode_since > DOWNLINK_IDLE_S * NS
            if quiet and not self.downlink.is_busy and not self.comms.has_work:
                self.change_mode(Mode.IDLE)
        retry_s = self.config.boot.safe_retry_s
        own_choice = self.mode is Mode.SAFE and self.reason != 0 and retry_s > 0.0
        if own_choice and now.mono_ns - self._mode_since > retry_s * NS:
            self.change_mode(Mode.IDLE)
        if self.mode not in (Mode.IDLE, *WORKERS):
            return
        usable = not self._is_hot and self.schedule.has_energy()
        automatic = p["is_automatic"] >= 0.5
        image = usable and not self.models.problem and self.imaging.is_usable(now)
        image = image and self.schedule.may_image(
            now, on_s=p["imaging_on_s"], off_s=p["imaging_off_s"], sun_min_deg=p["sun_elevation_min_deg"]
        )
        if automatic and self.plans.plan.holds(now.tai_ns):
            image = image and self.plans.plan.window(now.tai_ns) is not None
        if automatic or not image:
            self._choose(now, image=image, usable=usable, automatic=automatic)

    def _choose(self, now: Stamp, *, image: bool, usable: bool, automatic: bool) -> None:
        work = self.looking.has_work or self.orbit.worker.is_busy
        work = work or self.orbit.is_due(
            now, self.looking.in_arc, period_s=self.parameters["estimate_period_s"]
        )
        work = usable and work and not self.models.problem
        if image and automatic:
            self.change_mode(Mode.IMAGING)
        elif work and (automatic or self.mode is not Mode.IDLE):
            self.change_mode(Mode.COMPUTE)
        elif self.mode is not Mode.IDLE:
            self.change_mode(Mode.IDLE)

    def _finish_work(self, now: Stamp) -> None:
        """Wait until nothing is under way any more."""
        while self.mode in WORKERS and (self.looking.has_work or self.orbit.worker.is_busy):
            readers = self.looking.worker.readers() + self.orbit.worker.readers()
            select.select(readers, [], [], 0.05)
            self._look_and_estimate(now)

    def _maintain(self, now: Stamp) -> None:
        """Try a failed medium again; check one file and all values now and then."""
        if now.mono_ns - self._retried > self.config.limits.store_retry_s * NS:
            self._retried = now.mono_ns
            self.journal.store.retry()
        files = 40
        if now.mono_ns - self._scrubbed > self.config.limits.scrub_period_s / files * NS:
            self._scrubbed = now.mono_ns
            self.journal.store.scrub()
            if self.config.inference.kind == "models" and self.models.scrub_one():
                self.looking.renew()

    def look_after_heat_and_memory(self) -> tuple[float, float]:
        """Return memory of all processes, MB, and temperature; end what is over its limit."""
        limits = self.config.limits
        own = [self.reporting.pid]
        total = memory_mb(own)
        budgets = (
            (self.looking, self.looking.worker, self.config.inference.memory_mb),
            (self.orbit, self.orbit.worker, limits.orbit_memory_mb),
        )
        for desk, worker, limit_mb in budgets:
            used = memory_mb([worker.pid]) if worker.pid is not None else 0.0
            if used > limit_mb or total + used > limits.memory_mb:
                self.journal.event("TOO_MUCH_MEMORY", value=used)
                desk.stop()
                used = 0.0
            total += used
        heat, most = temperature(), self.parameters["temperature_max_celsius"]
        if heat > most and not self._is_hot:
            self.journal.event("TOO_HOT", value=heat)
        self._is_hot = heat > most - (5.0 if self._is_hot else 0.0) and heat > NO_SENSOR
        return total, heat

    def _new_uplink(self) -> Uplink | None:
        return None if self.models.spare is None else Uplink(self.models.spare)
