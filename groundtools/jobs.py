"""Many independent jobs: in this process, on workers of our own, or on a cluster by address.

Jobs are handed out a few ahead of their results, so memory does not grow with their
number. Whoever does a job writes its result where it belongs, whole or not at all, and
hands back a receipt: a worker that is killed costs the job at hand, which another takes
up. A job that kills worker after worker is tried alone at the end, and is `Killed` if it
does so again.
"""

import errno
import logging
import os
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from flightsw.errors import UsageError
from groundtools.imagery.errors import RemoteError

T = TypeVar("T")
R = TypeVar("R")

IN_FLIGHT = 2  # jobs a worker has at hand or waiting
CONNECT_S = 20.0  # to a scheduler elsewhere
DEATHS = 3  # of workers at one job, after which it is set aside
# The workers' sampling of their own stacks costs a tenth of a short job, for a page nobody opens;
# their default of giving every 64 KB back to the system costs half of one that handles pictures.
OWN_CLUSTER = {
    "distributed.scheduler.allowed-failures": DEATHS - 1,
    "distributed.worker.profile.enabled": False,
    "distributed.admin.system-monitor.interval": "10s",
    "distributed.nanny.pre-spawn-environ": dict.fromkeys(
        ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), 1
    ),
}


@dataclass(frozen=True, slots=True)
class Killed:
    """In place of a receipt: the job killed its worker DEATHS times."""

    reason: str = f"killed its worker {DEATHS} times (memory?)"


def run_jobs(
    job: Callable[[T], R], items: Iterable[T], *, name: Callable[[T], str], workers: int, scheduler: str = ""
) -> Generator[tuple[T, R | Killed], None, None]:
    """Yield (item, job(item)) of every item, in any order.

    job : a function of a module, or a partial of one; name(item) : unique; workers : of
    our own, 1 being this process; scheduler : tcp://HOST:PORT of a cluster in place of
    them, whose workers have this package. Raises RemoteError where it does not answer;
    what a job raises is raised here. Closing the generator drops what is under way.
    """
    if workers == 1 and not scheduler:
        for item in items:
            yield item, job(item)
        return
    from distributed import as_completed
    from distributed.scheduler import KilledWorker

    with _cluster(workers, scheduler) as address, _client(address) as client:
        todo = iter(items)
        suspects: list[T] = []
        running: dict[Any, T] = {}

        def submit(item: T) -> Any:
            future = client.submit(job, item, key=(name(item), len(suspects)), pure=False)
            running[future] = item
            return future

        limit = IN_FLIGHT * (max(1, sum(client.nthreads().values())) if scheduler else workers)
        first = [submit(item) for _, item in zip(range(limit), todo)]
        waiting = as_completed(first, loop=client.loop, with_results=True, raise_errors=False)
        for future, outcome in waiting:
            item = running.pop(future)
            if future.status != "error":
                yield item, outcome
            elif isinstance(future.exception(), KilledWorker):
                suspects.append(item)  # or it only waited where another one killed
            else:
                future.result()  # raises
            future.release()
            for following in todo:
                waiting.add(submit(following))
                break
        for item in suspects:  # alone, so that there is no doubt
            try:
                yield item, submit(item).result()
            except KilledWorker:
                yield item, Killed()


def _client(address: str) -> Any:
    from distributed import Client

    try:
        return Client(address, set_as_default=False, timeout=CONNECT_S)
    except (OSError, ValueError, TimeoutError) as error:
        raise RemoteError(f"--scheduler {address}: does not answer ({error})") from error


@contextmanager
def _cluster(workers: int, scheduler: str) -> Iterator[str]:
    """Give a scheduler's address: the one given, or that of our own with its workers."""
    if scheduler:
        yield scheduler
        return
    import dask
    from distributed import LocalCluster

    dask.config.set(OWN_CLUSTER)
    with LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",  # any free port: several may run side by side
        silence_logs=logging.CRITICAL,
        memory_limit=0,
    ) as own:
        yield str(own.scheduler_address)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an error of the disk into one line that names the file."""
    try:
        yield
    except OSError as error:
        fix = "free some space" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "choose another --out"
        reason = (error.strerror or str(error)).lower()
        raise UsageError(f"{path}: cannot be written ({reason}); {fix}, then resume") from error


def leftovers(folder: Path) -> Iterator[Path]:
    """Return temporary files that a kill left behind."""
    return iter(sorted(folder.rglob(".*.part")))


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold the folder for this process. Raises UsageError when another one is at work in it."""
    import fcntl

    handle = os.open(folder, os.O_RDONLY)  # the folder itself: no lock file stays behind
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise UsageError(f"{folder}: another build is at work in it; wait for it, or end it") from None
    try:
        yield
    finally:
        os.close(handle)
