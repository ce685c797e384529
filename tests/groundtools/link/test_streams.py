import socket

import pytest

from flightsw.errors import InputError
from groundtools.link.streams import TcpStream


def test_a_port_that_nobody_listens_on_is_never_reached() -> None:
    """Polled often enough, a port that connections leave from would connect to itself."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    for _ in range(200):
        with pytest.raises(InputError, match="cannot be reached"):
            TcpStream("127.0.0.1", port)


def test_a_connection_to_itself_counts_as_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        address = one.getsockname()

    def to_itself(where: tuple[str, int], timeout: float) -> socket.socket:
        both = socket.socket()
        both.bind(address)
        both.connect(address)  # simultaneous open: legal, and of no use
        return both

    monkeypatch.setattr(socket, "create_connection", to_itself)
    with pytest.raises(InputError, match="nobody listens"):
        TcpStream(*address)
