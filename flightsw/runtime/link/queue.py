"""What waits to be sent: bounded, the most urgent first, the least urgent dropped and counted."""

from collections import deque

PRIORITIES = 5


class SendQueue:
    """Packets of priorities 0 (first) to 4 (last), at most `limit` bytes in all.

    dropped : packets that found no room, by priority.
    """

    def __init__(self, limit: int) -> None:
        self._limit, self._bytes = limit, 0
        self._waiting: list[deque[bytes]] = [deque() for _ in range(PRIORITIES)]
        self.dropped = [0] * PRIORITIES

    def __len__(self) -> int:
        return sum(len(one) for one in self._waiting)

    def room(self, priority: int) -> int:
        """Return the bytes that can be put without dropping anything of this priority or above."""
        return self._limit - sum(len(p) for one in self._waiting[: priority + 1] for p in one)

    def put(self, packet: bytes, priority: int) -> bool:
        """Add a packet, dropping what is less urgent, oldest first; tell whether it found room."""
        for lower in range(PRIORITIES - 1, priority - 1, -1):
            while self._bytes + len(packet) > self._limit and self._waiting[lower]:
                self._bytes -= len(self._waiting[lower].popleft())
                self.dropped[lower] += 1
        if self._bytes + len(packet) > self._limit:
            self.dropped[priority] += 1
            return False
        self._waiting[priority].append(packet)
        self._bytes += len(packet)
        return True

    def take(self) -> bytes | None:
        """Return the next packet to send, None where nothing waits."""
        for one in self._waiting:
            if one:
                packet = one.popleft()
                self._bytes -= len(packet)
                return packet
        return None
