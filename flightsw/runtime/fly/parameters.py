"""The parameters that change in flight: the dictionary's defaults, and what was set since."""

from flightsw.runtime.fly.journal import Journal
from flightsw.runtime.link import dictionary as dic

NAME = "parameters"


class Parameters:
    """Values by name, each within its range, kept over restarts."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        kept = journal.load(NAME, {})
        self._set: dict[str, float] = {}
        for entry in dic.dictionary().parameter:
            value = kept.get(entry.name)
            if isinstance(value, int | float) and entry.low <= value <= entry.high:
                self._set[entry.name] = float(value)

    def __getitem__(self, name: str) -> float:
        """Return a value. Raises KeyError for a name the dictionary does not have."""
        entry = dic.parameter(name)
        if entry is None:
            raise KeyError(name)
        return self._set.get(name, entry.default)

    def set(self, number: int, value: float) -> str:
        """Give a parameter a value; return "" or why not."""
        entry = dic.parameter(number)
        if entry is None:
            return "no such parameter"
        if not entry.low <= value <= entry.high:
            return f"{entry.name} is {entry.low:g} to {entry.high:g}"
        self._set[entry.name] = value
        self._journal.save(NAME, dict(self._set))
        return ""
