"""What Prefect costs: server and worker ready, seconds a case with SQLite, memory of a long flow.

The work on a case is nothing, so that all that is measured is the flow: from its call until the server knows
how every task ended, over its cases. `--quick`: 50 cases in place of 200, 200 in place of 2,000.
"""

from __future__ import annotations

import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

CASES, MANY = (50, 200) if "--quick" in sys.argv else (200, 2000)


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        environment = _environment(Path(scratch))
        os.environ.update(environment)
        start = time.perf_counter()
        server = _start(
            "server", "start", "--port", environment["PREFECT_API_URL"].split(":")[2].split("/")[0]
        )
        try:
            _wait(_server_answers)
            ready = time.perf_counter() - start
            _prefect("work-pool", "create", "medvision", "--type", "process")
            start = time.perf_counter()
            worker = _start("worker", "start", "--pool", "medvision")
            _wait(_worker_is_there)
            worker_ready = time.perf_counter() - start
            _end(worker)
            print("| | |\n| --- | ---: |")
            print(f"| server ready, in a new home | {ready:.1f} s |")
            print(f"| worker ready | {worker_ready:.1f} s |")
            seconds, cpu, _ = _flow_of(CASES)
            print(
                f"| a case, of {CASES}: seconds, of them CPU of the flow | {seconds:.3f}, {cpu:.3f} |",
                flush=True,
            )
            seconds, _, memory = _flow_of(MANY)
            print(f"| a case, of {MANY} | {seconds:.3f} s |")
            shown = ", ".join(f"{each:.0f}" for each in memory)
            print(f"| MiB of the flow's process after each tenth of {MANY} cases | {shown} |")
        finally:
            _end(server)


def _flow_of(cases: int) -> tuple[float, float, list[float]]:
    """Seconds and CPU seconds a case, and memory after each tenth."""
    from prefect import flow

    from flows.cases import CaseTasks
    from medvision.inference.working import Outcome

    memory: list[float] = []
    perform = CaseTasks(Path("out")).on("cpu")

    @flow(name=f"{cases} cases")
    def nothing() -> None:
        known = _ended_tasks()
        for number in range(cases):
            perform(f"1.2.3.{number}", lambda: Outcome("processed"))
            if (number + 1) % (cases // 10) == 0:
                _wait(partial(_are_known, known + number + 1))
                memory.append(_resident_mib())

    start, cpu = time.perf_counter(), time.process_time()
    nothing()
    return (time.perf_counter() - start) / cases, (time.process_time() - cpu) / cases, memory


def _are_known(number: int) -> bool:
    return _ended_tasks() >= number


def _ended_tasks() -> int:
    import httpx

    ended = {"task_runs": {"state": {"type": {"any_": ["COMPLETED"]}}}}
    return int(httpx.post(f"{os.environ['PREFECT_API_URL']}/task_runs/count", json=ended, timeout=60).json())


def _environment(home: Path) -> dict[str, str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return {
        "PREFECT_HOME": str(home),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_LOGGING_LEVEL": "WARNING",
        "DO_NOT_TRACK": "1",
    }


def _start(*arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "prefect", *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def _prefect(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "prefect", *arguments], check=True, stdout=subprocess.DEVNULL)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGINT)
    process.wait(60)


def _wait(condition: Callable[[], bool]) -> None:
    while not condition():
        time.sleep(0.1)


def _server_answers() -> bool:
    import httpx

    try:
        return httpx.get(f"{os.environ['PREFECT_API_URL']}/health").is_success
    except httpx.HTTPError:
        return False


def _worker_is_there() -> bool:
    import httpx

    answer = httpx.post(f"{os.environ['PREFECT_API_URL']}/work_pools/medvision/workers/filter", json={})
    return bool(answer.json())


def _resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
    return pages * resource.getpagesize() / 2**20
