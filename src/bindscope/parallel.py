"""Several cores without waiting: blocks of rows side by side, the linear algebra inside each on one thread.

A linear-algebra library of several threads lets all of them wait for the slowest after each small product. On a machine
that has other work to do, the wait takes up to a thousand times as long as the product (measured: a QR of 384 x 101 in
1.4 ms on one thread, in 1.8 s on two). Blocks that are independent wait once, at the end. Whole jobs (a cell of a grid, a
training run) run in processes of one thread each, on this machine or through Ray.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import cache
from multiprocessing import get_context
from typing import Any, TypeVar

from threadpoolctl import ThreadpoolController

from bindscope.errors import InputError, MissingExtraError, UnknownNameError

SMALL = 1_000  # rows of a matrix up to which one thread is as good as two
ENGINES = ("local", "ray")
ATTEMPTS = 5  # times that a job is started again after its worker died
T = TypeVar("T")
Job = tuple[Any, ...]
Task = Callable[..., Any]


@contextmanager
def one_thread(size: int = 0) -> Iterator[None]:
    """Linear algebra inside runs on one thread, unless the matrices have more than 1,000 rows. Costs 0.2 ms."""
    if size > SMALL:
        yield
        return
    with _libraries().limit(limits=1, user_api="blas"):
        yield


def over_blocks(work: Callable[[slice], T], n_rows: int, step: int) -> list[T]:
    """What `work` gives for each block of `step` rows, in order; as many at once as there are threads.

    The blocks do not depend on the machine, so neither do sums over them. `work` must not call this again.

    >>> over_blocks(lambda rows: (rows.start, rows.stop), 5, 2)
    [(0, 2), (2, 4), (4, 5)]
    """
    blocks = [slice(start, min(start + step, n_rows)) for start in range(0, n_rows, step)]
    with one_thread():
        if len(blocks) < 2 or usable_threads() < 2:
            return [work(block) for block in blocks]
        return list(_pool().map(work, blocks))


@cache
def _libraries() -> ThreadpoolController:
    import scipy.linalg  # noqa: F401  # loads its own BLAS, which the controller must know

    return ThreadpoolController()


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def usable_threads() -> int:
    """Threads that linear algebra and trees may take: the cores, or fewer where OMP_NUM_THREADS says so."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return min(int(asked), cores()) if asked.isascii() and asked.isdecimal() and int(asked) > 0 else cores()


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(usable_threads(), thread_name_prefix="bindscope")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)  # threads do not survive a fork


def run_jobs(
    task: Task, jobs: Sequence[Job], engine: str = "local", workers: int | None = None, threads: int = 1
) -> Iterator[tuple[int, Any]]:
    """Run task(*job) for every job and give (number of the job, what it returned) as they finish.

    threads: cores that one job uses; by default as many jobs run at once as the cores have room for.
    An exception of a job is raised here once it comes up; a dead worker (killed, out of memory) starts its job again.
    """
    if engine not in ENGINES:
        raise UnknownNameError("engine", engine, ENGINES)
    if workers is not None and workers < 1:
        raise InputError(f"workers must be at least 1, got {workers}")
    count = min(workers or max(1, cores() // threads), max(len(jobs), 1))
    return _ray(task, jobs, count, threads) if engine == "ray" else _local(task, jobs, count)


def _local(task: Task, jobs: Sequence[Job], workers: int) -> Iterator[tuple[int, Any]]:
    left = list(range(len(jobs)))
    starts = dict.fromkeys(left, 0)
    while left:
        finished: set[int] = set()
        pool = ProcessPoolExecutor(
            workers, mp_context=get_context("spawn"), initializer=_start, initargs=(os.getpid(),)
        )
        try:
            for number, value in _completed(pool, workers, task, jobs, left, starts):
                finished.add(number)
                yield number, value
        except BrokenProcessPool:
            pass
        except (KeyboardInterrupt, GeneratorExit):  # jobs are resumable: nobody waits for them
            for process in list((pool._processes or {}).values()):
                process.terminate()
            raise
        finally:
            pool.shutdown()
        left = [number for number in left if number not in finished]
        stuck = [number for number in left if starts[number] > ATTEMPTS]
        if stuck:
            raise InputError(f"job {stuck[0]} of the sweep died {starts[stuck[0]]} times; run it alone to see why")


def _completed(
    pool: ProcessPoolExecutor,
    width: int,
    task: Task,
    jobs: Sequence[Job],
    left: Sequence[int],
    starts: dict[int, int],
) -> Iterator[tuple[int, Any]]:
    """Results as they come; only as many jobs are handed in as there are workers, so that few are lost with a pool."""
    waiting, running = list(left), dict[Future[Any], int]()
    while waiting or running:
        while waiting and len(running) < width:
            number = waiting.pop(0)
            starts[number] += 1
            running[pool.submit(task, *jobs[number])] = number
        done, _ = wait(running, return_when=FIRST_COMPLETED)
        for future in done:
            yield running.pop(future), future.result()


def _start(parent: int) -> None:
    """Workers leave Ctrl-C to the parent, end with it, and keep to one thread: set before a numerical library is there."""
    import signal
    from threading import Thread

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))
    Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    """A killed parent leaves no worker that goes on unseen."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def _ray(task: Task, jobs: Sequence[Job], workers: int, threads: int) -> Iterator[tuple[int, Any]]:
    try:
        import ray
    except ImportError as error:
        raise MissingExtraError("--engine ray", "ray", "distributed") from error
    mine = not ray.is_initialized()
    if mine:
        here = {
            "env_vars": {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        }  # workers find what this process finds
        size = None if os.environ.get("RAY_ADDRESS") else workers * threads
        ray.init(num_cpus=size, log_to_driver=False, include_dashboard=False, runtime_env=here)
    try:
        remote = ray.remote(num_cpus=threads, max_retries=ATTEMPTS)(task)
        running = {remote.remote(*job): number for number, job in enumerate(jobs)}
        while running:
            done, _ = ray.wait(list(running))
            for reference in done:
                yield running.pop(reference), ray.get(reference)
    finally:
        if mine:
            ray.shutdown()


def duration(seconds: float) -> str:
    """Seconds in words.

    >>> duration(42.4), duration(150), duration(9000)
    ('42 s', '2 min', '2.5 h')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
