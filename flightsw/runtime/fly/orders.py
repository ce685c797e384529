"""Commands carried out: one method each, an outcome and a few bytes of reply."""

import struct
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from flightsw.runtime.fly.image_plan import FILE
from flightsw.runtime.fly.modes import Mode
from flightsw.runtime.link import dictionary as dic
from flightsw.runtime.link.commands import Order, Outcome
from flightsw.runtime.link.downlink import Downlink
from flightsw.runtime.link.uplink import Uplink

if TYPE_CHECKING:
    from flightsw.runtime.fly.payload import Payload

Answer = tuple[Outcome, bytes]
DONE: Answer = (Outcome.DONE, b"")
KEYS = "keys"  # name of the kept keys


class Orders:
    """What each command of the dictionary does to a payload."""

    def __init__(self, payload: "Payload", downlink: Downlink, uplink: Uplink | None) -> None:
        self._payload, self._downlink, self._uplink = payload, downlink, uplink
        self._methods: dict[str, Callable[[Order], Answer]] = {
            "PING": lambda order: DONE,
            "SET_MODE": self._set_mode,
            "SET_PARAMETER": self._set_parameter,
            "GET_PARAMETER": self._get_parameter,
            "SYNC_COUNTER": lambda order: DONE,  # admitting it was all there is to it
            "ROTATE_KEY": self._rotate_key,
            "LIST_FILES": self._list_files,
            "DOWNLINK": self._request,
            "STOP_DOWNLINK": self._stop_downlink,
            "UPLINK_BEGIN": self._uplink_begin,
            "UPLINK_CHUNK": self._uplink_chunk,
            "UPLINK_STATUS": self._uplink_status,
            "UPLINK_FINISH": self._uplink_finish,
            "ACTIVATE_MODELS": lambda order: self._models_changed(payload.models.activate()),
            "ROLL_BACK_MODELS": lambda order: self._models_changed(payload.models.roll_back()),
            "ESTIMATE": self._estimate,
            "SET_TIME": self._set_time,
            "RESTART": self._restart,
            "DISCARD_ARC": self._discard_arc,
            "USE_SCHEDULE": self._use_schedule,
        }

    def carry_out(self, order: Order) -> Answer:
        """Do what a command says."""
        return self._methods[order.command.name](order)

    @staticmethod
    def names() -> set[str]:
        """Return the commands that must be known here."""
        return {entry.name for entry in dic.dictionary().command}

    def _set_mode(self, order: Order) -> Answer:
        mode = Mode(int(order.arguments["mode"]))
        return DONE if self._payload.change_mode(mode) else _refused("not from this mode")

    def _set_parameter(self, order: Order) -> Answer:
        number, value = int(order.arguments["parameter"]), float(order.arguments["value"])
        return _refused(self._payload.parameters.set(number, value))

    def _get_parameter(self, order: Order) -> Answer:
        entry = dic.parameter(int(order.arguments["parameter"]))
        if entry is None:
            return _refused("no such parameter")
        return Outcome.DONE, struct.pack(">d", self._payload.parameters[entry.name])

    def _rotate_key(self, order: Order) -> Answer:
        slot, nonce = int(order.arguments["slot"]), order.arguments["nonce"]
        if order.slot == slot:
            return _refused("sign it with the other key")
        assert isinstance(nonce, bytes)
        gate = self._payload.gate
        keys = gate.keys.rotated(slot, nonce)
        if not self._payload.journal.store.save(KEYS, keys.to_bytes()):
            return Outcome.FAILED, b"cannot be kept"
        gate.keys = keys
        self._payload.journal.event("KEY_ROTATED", value=slot)
        return DONE

    def _list_files(self, order: Order) -> Answer:
        journal = self._payload.journal
        first = int(order.arguments["first"])
        count = self._downlink.list(journal.telemetry, journal.clock.now().tai_ns, first)
        return Outcome.DONE, struct.pack(">I", count)

    def _request(self, order: Order) -> Answer:
        a = order.arguments
        return _refused(self._downlink.request(str(a["file"]), int(a["first_chunk"]), int(a["chunks"])))

    def _stop_downlink(self, order: Order) -> Answer:
        self._downlink.clear()
        return DONE

    def _uplink_begin(self, order: Order) -> Answer:
        if self._uplink is None:
            return _refused("there is one set of models only")
        a = order.arguments
        digest = a["sha256"]
        assert isinstance(digest, bytes)
        return _refused(self._uplink.begin(str(a["file"]), int(a["size_bytes"]), digest))

    def _uplink_chunk(self, order: Order) -> Answer:
        data = order.arguments["data"]
        assert isinstance(data, bytes)
        if self._uplink is None:
            return _refused("no file was begun")
        return _refused(self._uplink.chunk(int(order.arguments["chunk"]), data))

    def _uplink_status(self, order: Order) -> Answer:
        count, gaps = (0, []) if self._uplink is None else self._uplink.missing()
        return Outcome.DONE, struct.pack(f">I{len(gaps)}I", count, *gaps)

    def _uplink_finish(self, order: Order) -> Answer:
        return _refused("no file was begun" if self._uplink is None else self._uplink.finish())

    def _models_changed(self, problem: str) -> Answer:
        if problem:
            return _refused(problem)
        self._payload.looking.renew()
        self._payload.aim_uplink()
        return DONE

    def aim(self, uplink: Uplink | None) -> None:
        """Uplink to another folder from now on: the set that is not in use has changed."""
        self._uplink = uplink

    def _estimate(self, order: Order) -> Answer:
        self._payload.orbit.ask_for()
        return DONE

    def _set_time(self, order: Order) -> Answer:
        self._payload.set_time(int(order.arguments["time_tai_ns"]))
        return DONE

    def _restart(self, order: Order) -> Answer:
        self._payload.ends = True
        return DONE

    def _discard_arc(self, order: Order) -> Answer:
        self._payload.arcs.begin(0.0)
        self._payload.arc_began()
        return DONE

    def _use_schedule(self, order: Order) -> Answer:
        spare = self._payload.models.spare
        path = None if spare is None else spare / FILE
        if path is None or not path.exists():
            return _refused(f"no {FILE} was uplinked")
        problem = self._payload.plans.take(path)
        with suppress(OSError):  # the next one takes its place
            path.unlink()
        return _refused(problem)


def _refused(problem: str) -> Answer:
    """Return DONE where there is no problem."""
    return (Outcome.REFUSED, problem.encode()) if problem else DONE
