import os
import signal
import subprocess
import sys
import threading

import pytest

from l2s_jax.training.signals import Interrupted, StopRequest


def send(number=signal.SIGTERM):
    os.kill(os.getpid(), number)


def test_a_signal_is_remembered_and_handlers_come_back():
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    with StopRequest(several=False) as stop:
        assert stop.signal == 0
        send()
        assert stop.signal == signal.SIGTERM
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


def test_interruptible_blocks_are_left_at_once():
    with StopRequest(several=False) as stop:
        with pytest.raises(Interrupted), stop.interruptible():
            send()
        with pytest.raises(Interrupted), stop.interruptible():
            raise AssertionError("a signal that came before counts too")


def test_several_processes_are_not_left_in_the_middle():
    with StopRequest(several=True) as stop, stop.interruptible():
        before = signal.signal(signal.SIGTERM, lambda *_: None)  # in place of JAX's own
        send(signal.SIGINT)
        assert stop.signal == signal.SIGINT
    signal.signal(signal.SIGTERM, before)


def test_a_second_signal_kills():
    script = (
        "import os, signal, time\n"
        "from l2s_jax.training.signals import StopRequest\n"
        "with StopRequest(several=False):\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    print('still here', flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    time.sleep(60)\n"
    )
    child = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert (child.returncode, child.stdout) == (-signal.SIGINT, "still here\n")


def test_a_terminal_that_hangs_up_twice_is_one_request():
    before = signal.getsignal(signal.SIGHUP)
    with StopRequest(several=False) as stop:
        send(signal.SIGHUP)
        send(signal.SIGHUP)
        assert stop.signal == signal.SIGHUP
    assert signal.getsignal(signal.SIGHUP) == before


def test_nohup_is_respected():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopRequest(several=False) as stop:
            send(signal.SIGHUP)
            assert stop.signal == 0
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
            send(signal.SIGTERM)
            assert stop.signal == signal.SIGTERM
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_other_threads_install_nothing():
    before = signal.getsignal(signal.SIGTERM)
    seen = []

    def enter():
        with StopRequest(several=False):
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert seen == [before]
