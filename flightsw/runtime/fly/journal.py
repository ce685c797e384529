"""What happened, in the log and on its way to the ground; and the values that are kept."""

import json
import logging
import math
from typing import Any

from flightsw.runtime.fly.ports import Clock
from flightsw.runtime.link import dictionary as dic
from flightsw.runtime.link.telemetry import Telemetry
from flightsw.runtime.store.records import Kind
from flightsw.runtime.store.store import Store, StoreMode

log = logging.getLogger("flightsw.fly")

SEVERITIES = ("INFO", "WARNING", "ERROR")
DETAIL_BYTES = 64


class Journal:
    """The store, the telemetry queue and the clock that stamps both."""

    def __init__(self, store: Store, telemetry: Telemetry, clock: Clock) -> None:
        self.store, self.telemetry, self.clock = store, telemetry, clock
        self._mode = StoreMode.DISK
        self._lost = 0

    def event(self, name: str, *, value: float = 0.0, detail: str = "") -> None:
        """Note an event: record, packet, and a line for who watches."""
        entry = dic.event(name)
        assert entry is not None, name
        detail = " ".join(detail.split()).encode()[:DETAIL_BYTES].decode(errors="ignore")
        value = value if math.isfinite(value) else -1.0
        level = (logging.INFO, logging.WARNING, logging.ERROR)[SEVERITIES.index(entry.severity)]
        log.log(level, "%s %g %s", name, value, detail)
        self.record(Kind.EVENT, {"event": entry.id, "value": value, "detail": detail})
        values = {"event": entry.id, "severity": SEVERITIES.index(entry.severity), "value": value}
        self.telemetry.put("EVENT", self.clock.now().tai_ns, {**values, "detail": detail})

    def record(self, kind: Kind, content: dict[str, Any]) -> None:
        """Add a record to the group of this step."""
        self.store.append(kind, json.dumps(content, separators=(",", ":")).encode(), self.clock.now())

    def commit(self) -> None:
        """Put this step's records on the medium; say when it fails, and when it works again."""
        self.store.commit()
        if self.store.mode is not self._mode:
            self._mode = self.store.mode
            if self._mode is StoreMode.RAM:
                self.event("STORE_IN_RAM")
            else:
                self.event("STORE_BACK", value=float(self.store.lost - self._lost))
                self._lost = self.store.lost
            self.store.commit()

    def save(self, name: str, content: dict[str, Any]) -> bool:
        """Keep a value of a name."""
        return self.store.save(name, json.dumps(content).encode())

    def load(self, name: str, default: dict[str, Any]) -> dict[str, Any]:
        """Return a kept value with the keys of `default`, which is what holds where there is none."""
        data = self.store.load(name)
        if data is None:
            return dict(default)
        try:
            value = json.loads(data)
        except ValueError:
            value = None
        if not isinstance(value, dict) or set(default) - set(value):
            self.event("VALUE_DAMAGED", detail=name)
            return dict(default)
        return value
