"""The trainer as a child process: signals, kills, exit codes and what reaches stdout."""

import signal
import time
from pathlib import Path

from qlora.tests.conftest import MakeRun
from qlora.tests.processes import events_of, run_to_end, start_trainer


def adapter_of(config: Path) -> bytes:
    return (config.parent / "output" / "adapter" / "adapter_model.safetensors").read_bytes()


def newest_complete(config: Path) -> Path:
    folders = (config.parent / "output").glob("checkpoint-*")
    return max((path for path in folders if (path / "complete.json").exists()), key=lambda path: int(path.name[11:]))


def test_a_killed_run_resumes_to_the_same_bytes_and_a_signal_pauses_it(make_run: MakeRun) -> None:
    undisturbed = make_run("undisturbed", samples=40)
    code, events = run_to_end(undisturbed)
    assert (code, events[-1]["event"]) == (0, "done")

    disturbed = make_run("disturbed", samples=40)
    with start_trainer(disturbed) as process:
        for event in events_of(process.stdout):
            if event["event"] == "step" and event["step"] == 8:
                process.kill()
        assert process.wait(timeout=60) == -signal.SIGKILL
    checkpoint = newest_complete(disturbed)

    with start_trainer(disturbed, "--resume-from", str(checkpoint)) as process:
        seen = []
        for event in events_of(process.stdout):
            seen.append(event)
            if event["event"] == "step" and event["step"] == 11:
                process.send_signal(signal.SIGUSR1)
        assert process.wait(timeout=60) == 10
    assert seen[0]["resumedFromStep"] == int(checkpoint.name.removeprefix("checkpoint-"))
    assert seen[-1]["event"] == "stopped"
    paused = disturbed.parent / "output" / seen[-1]["path"]
    assert newest_complete(disturbed) == paused

    code, events = run_to_end(disturbed, "--resume-from", str(paused))
    assert (code, events[-1]["event"]) == (0, "done")
    assert adapter_of(disturbed) == adapter_of(undisturbed)


def test_a_bad_configuration_is_told_before_torch_is_loaded(make_run: MakeRun) -> None:
    config = make_run(batchSize=0)
    started = time.monotonic()
    code, [event] = run_to_end(config)
    # Importing torch alone takes several seconds.
    assert time.monotonic() - started < 1.5
    assert (code, event["event"], event["class"]) == (20, "error", "bad-config")
    assert "batchSize: found 0" in event["message"]


def test_a_bad_dataset_and_a_bad_command_line_have_their_own_codes(make_run: MakeRun) -> None:
    config = make_run()
    (config.parent.parent / "train.jsonl").write_text("{}\n")
    assert run_to_end(config)[0] == 21
    assert run_to_end(config, "--unknown")[0] == 20


def test_sigterm_ends_it_at_once(make_run: MakeRun) -> None:
    config = make_run(samples=400)
    with start_trainer(config) as process:
        for event in events_of(process.stdout):
            if event["event"] == "start":
                process.terminate()
        assert process.wait(timeout=10) == -signal.SIGTERM
    assert not (config.parent / "output" / "adapter").exists()
