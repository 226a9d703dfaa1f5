"""The launcher's promises, with real processes: the lock outlives it, stops win races, recycled pids are not killed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

LAUNCHER = Path(__file__).parent.parent / "launcher.py"
SLEEPER = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)"]


class Bench:
    """A lock and launches under it; everything that was started is killed at the end."""

    def __init__(self, home: Path) -> None:
        self.lock = home / "gpu-0.lock"
        self.home = home
        self.started: list[dict[str, Any]] = []
        self.popen: list[subprocess.Popen[bytes]] = []

    def launch(
        self, argv: list[str], name: str = "0001", run: str = "run-1", grace: float = 0.3
    ) -> tuple[int | None, dict[str, Any]]:
        directory = self.home / run / "launches" / name
        directory.mkdir(parents=True, exist_ok=True)
        spec = {
            "version": 1,
            "lock": str(self.lock),
            "run": run,
            "kind": "test",
            "workflowId": "w",
            "stateDirectory": str(self.home),
            "launchDirectory": str(directory),
            "argv": argv,
            "workingDirectory": str(self.home),
            "stopFile": str(self.home / run / "stop.json"),
            "graceSeconds": grace,
        }
        (directory / "spec.json").write_text(json.dumps(spec))
        launcher = subprocess.Popen(
            [sys.executable, str(LAUNCHER), "run", str(directory / "spec.json")],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        self.popen.append(launcher)
        assert launcher.stdout is not None
        answer: dict[str, Any] = json.loads(launcher.stdout.readline())
        launcher.stdout.close()
        if answer["status"] == "started":
            self.started.append(answer["process"])
            return None, answer
        return launcher.wait(10), answer

    def probe(self) -> dict[str, Any]:
        output = subprocess.check_output([sys.executable, str(LAUNCHER), "probe", str(self.lock)])
        state: dict[str, Any] = json.loads(output)
        return state

    def close(self) -> None:
        for process in self.started:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process["processGroup"], signal.SIGKILL)
        for launcher in self.popen:
            launcher.kill()
            launcher.wait(10)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.close()


def until(condition: Callable[[], object], what: str, limit: float = 10) -> None:
    deadline = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def test_exit_code_and_signal_are_recorded(bench: Bench) -> None:
    bench.launch([sys.executable, "-c", "raise SystemExit(23)"])
    exit_file = bench.home / "run-1/launches/0001/exit.json"
    until(exit_file.exists, "exit.json")
    assert json.loads(exit_file.read_text()) | {"endedAt": ""} == {
        "version": 1,
        "code": 23,
        "signal": None,
        "endedAt": "",
    }
    until(lambda: not bench.probe()["held"], "free lock")
    _, answer = bench.launch(SLEEPER, name="0002")
    os.kill(answer["process"]["trainerPid"], signal.SIGKILL)
    exit_file = bench.home / "run-1/launches/0002/exit.json"
    until(exit_file.exists, "exit.json")
    assert json.loads(exit_file.read_text())["signal"] == "SIGKILL"


def test_lock_outlives_the_launcher_and_ends_with_the_trainer(bench: Bench) -> None:
    _, answer = bench.launch(SLEEPER)
    process = answer["process"]
    os.kill(process["pid"], signal.SIGKILL)
    bench.popen[0].wait(10)
    state = bench.probe()
    assert state["held"] and state["holder"]["run"] == "run-1"
    code, busy = bench.launch(SLEEPER, run="run-2")
    assert code == 75
    assert busy["status"] == "busy" and busy["holder"]["trainerPid"] == process["trainerPid"]
    os.kill(process["trainerPid"], signal.SIGKILL)
    until(lambda: not bench.probe()["held"], "free lock")


def test_lock_is_held_through_python_grandchildren(bench: Bench) -> None:
    code = f"import subprocess, sys; subprocess.Popen({SLEEPER!r}); import os; os.kill(os.getpid(), 9)"
    _, answer = bench.launch([sys.executable, "-c", code], grace=600)
    os.kill(answer["process"]["pid"], signal.SIGKILL)
    bench.popen[0].wait(10)
    until(lambda: not alive(answer["process"]["trainerPid"]), "dead trainer")
    assert bench.probe()["held"]


def test_stop_file_wins_over_a_launch(bench: Bench) -> None:
    (bench.home / "run-1").mkdir()
    (bench.home / "run-1/stop.json").touch()
    code, answer = bench.launch(SLEEPER)
    assert (code, answer) == (76, {"status": "stopped"})
    assert "notStarted" in json.loads((bench.home / "run-1/launches/0001/exit.json").read_text())
    assert not bench.probe()["held"]


def test_a_stale_launch_does_not_follow_a_newer_one(bench: Bench) -> None:
    bench.launch([sys.executable, "-c", ""], name="0002")
    until(lambda: not bench.probe()["held"], "free lock")
    code, answer = bench.launch(SLEEPER, name="0001")
    assert code == 71 and "0002" in answer["message"]


def test_missing_program_is_a_permanent_failure(bench: Bench) -> None:
    code, answer = bench.launch(["/nonexistent/python"])
    assert code == 71 and answer["permanent"] is True and "/nonexistent/python" in answer["message"]
    assert not bench.probe()["held"]


def test_signals_do_not_reach_the_launcher_but_the_trainer_gets_them(bench: Bench) -> None:
    _, answer = bench.launch(SLEEPER)
    os.killpg(answer["process"]["processGroup"], signal.SIGTERM)
    exit_file = bench.home / "run-1/launches/0001/exit.json"
    until(exit_file.exists, "exit.json")
    assert json.loads(exit_file.read_text())["signal"] == "SIGTERM"


def test_what_the_trainer_leaves_behind_is_ended(bench: Bench) -> None:
    stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
    code = (
        "import subprocess, sys, time\n"
        f"one = subprocess.Popen([sys.executable, '-c', {stubborn!r}])\n"
        f"two = subprocess.Popen([sys.executable, '-c', {stubborn!r}], start_new_session=True)\n"
        "print(one.pid, two.pid, flush=True)\n"
        "time.sleep(0.5)\n"
    )
    bench.launch([sys.executable, "-c", code])
    log = bench.home / "run-1/launches/0001/stdout.log"
    until(lambda: log.read_text(), "pids")
    pids = [int(word) for word in log.read_text().split()]
    until(lambda: not any(alive(pid) for pid in pids), "dead grandchildren")
    until(lambda: not bench.probe()["held"], "free lock")


def test_next_holder_ends_members_that_live_without_the_lock(bench: Bench) -> None:
    code = (
        "import subprocess, sys, time\n"
        f"child = subprocess.Popen({SLEEPER!r}, stdin=subprocess.DEVNULL)\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    _, answer = bench.launch([sys.executable, "-c", code])
    log = bench.home / "run-1/launches/0001/stdout.log"
    until(lambda: log.read_text().strip(), "pid")
    orphan = int(log.read_text().split()[0])
    for pid in (answer["process"]["pid"], answer["process"]["trainerPid"]):
        os.kill(pid, signal.SIGKILL)
    bench.popen[0].wait(10)
    until(lambda: not bench.probe()["held"], "free lock")
    assert alive(orphan)
    bench.launch(SLEEPER, run="run-2")
    assert not alive(orphan)


def test_a_recycled_group_number_is_not_killed(bench: Bench) -> None:
    stranger = subprocess.Popen(SLEEPER, start_new_session=True, stdout=subprocess.DEVNULL)
    try:
        _, answer = bench.launch([sys.executable, "-c", ""])
        until(lambda: not bench.probe()["held"], "free lock")
        record = answer["process"] | {
            "pid": stranger.pid,
            "processGroup": stranger.pid,
            "startTime": answer["process"]["startTime"] - 1000,
            "trainerPid": stranger.pid,
            "trainerStartTime": answer["process"]["startTime"] - 999,
        }
        bench.lock.with_name("gpu-0.lock.holder.json").write_text(json.dumps(record))
        _, second = bench.launch(SLEEPER, run="run-2")
        assert second["status"] == "started"
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait(10)


def test_hold_ends_with_its_pipe(bench: Bench) -> None:
    spec = bench.home / "hold.json"
    spec.write_text(
        json.dumps({"lock": str(bench.lock), "run": "r", "kind": "render", "workflowId": "w", "stateDirectory": "s"})
    )
    holder = subprocess.Popen(
        [sys.executable, str(LAUNCHER), "hold", str(spec)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    bench.popen.append(holder)
    assert holder.stdin is not None and holder.stdout is not None
    assert json.loads(holder.stdout.readline())["status"] == "held"
    assert bench.probe()["holder"]["kind"] == "render"
    holder.stdin.close()
    assert holder.wait(10) == 0
    assert bench.probe() == {"held": False, "holder": None}


def test_probes_do_not_make_a_launch_busy(bench: Bench) -> None:
    bench.lock.touch()
    command = [sys.executable, str(LAUNCHER), "probe", str(bench.lock)]
    loop = f"import subprocess\nwhile True: subprocess.run({command!r})"
    prober = subprocess.Popen([sys.executable, "-c", loop], stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        for name in ("0001", "0002", "0003"):
            assert bench.launch([sys.executable, "-c", ""], name=name)[1]["status"] == "started"
            bench.popen[-1].wait(10)
    finally:
        os.killpg(prober.pid, signal.SIGKILL)
        prober.wait(10)
