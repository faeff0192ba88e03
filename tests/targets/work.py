"""work.py MODE: does one unit of work for each byte that comes on stdin and answers it with a byte.

When stdin ends it prints one line of JSON with everything that went wrong, and exits with 0. Modes: compute, threads,
fork (with a SIGCHLD handler), spawn (vfork where Python uses it), exec, timers, asleep, signals.
"""
import ctypes
import errno
import os
import select
import signal
import subprocess
import sys
import threading
import time

from testimony import report, tell

MODE = sys.argv[1]
wrong = []
counts = {}
noted = []
TIMERS = {signal.SIGALRM: signal.ITIMER_REAL, signal.SIGVTALRM: signal.ITIMER_VIRTUAL,
          signal.SIGPROF: signal.ITIMER_PROF}
# System calls of Linux on x86-64: gettid, epoll_wait and epoll_pwait.
GETTID, EPOLL_WAITS = 186, ('232', '281')


def add(x):
    return x + 1


def compute(rounds=3000):
    x = 0
    for _ in range(rounds):
        x = add(x)
    return x


def threads():
    started = [threading.Thread(target=compute, args=(300,)) for _ in range(10)]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()


def through_signals(call, *arguments):
    """Calls again what a signal interrupted, as Python itself does from 3.5 on."""
    while True:
        try:
            return call(*arguments)
        except (OSError, IOError, select.error) as error:
            if error.args[0] != errno.EINTR or not counts:
                raise


def fork():
    children = []
    for number in range(3):
        child = os.fork()
        if child == 0:
            compute(100)
            os._exit(10 + number)
        children.append(child)
    compute(300)
    for number, child in enumerate(children):
        status = through_signals(os.waitpid, child, 0)[1]
        if status != (10 + number) << 8:
            wrong.append('child %d ended with %#x' % (number, status))


def spawn():
    for close_fds in (True, False):
        status = subprocess.call(['/bin/sh', '-c', 'exit 7'], close_fds=close_fds)
        if status != 7:
            wrong.append('the command ended with %d' % status)


def asleep():
    compute()


def fall_asleep():
    """A thread waits in a call that the kernel does not restart, until its end wakes it: whoever stops a sleeping
    thread makes it return too early."""
    libc = ctypes.CDLL(None, use_errno=True)
    epoll = select.epoll()
    pipe = os.pipe()
    epoll.register(pipe[0], select.EPOLLIN)
    ids = []

    def wait():
        ids.append(libc.syscall(GETTID))
        if libc.epoll_wait(epoll.fileno(), ctypes.create_string_buffer(16), 1, -1) == -1:
            wrong.append('epoll_wait: ' + errno.errorcode[ctypes.get_errno()])

    thread = threading.Thread(target=wait)
    thread.start()
    while not ids or not is_in_epoll_wait(ids[0]):
        pass

    def wake():
        os.write(pipe[1], b'x')
        thread.join()
    return wake


def is_in_epoll_wait(thread):
    with open('/proc/self/task/%d/syscall' % thread) as call:
        return call.read().split()[0] in EPOLL_WAITS


def timers():
    compute()


def count(number, _):
    counts[number] = counts.get(number, 0) + 1


def note(number, _):
    noted.append(number)


def run_exec():
    os.execv(sys.executable, [sys.executable, os.path.abspath(__file__), MODE, 'again'])


def signals():
    """Computes for ever, and answers each SIGUSR1."""
    def watch():
        through_signals(os.read, 0, 1)
        tell({'wrong': wrong})
        os._exit(0)
    # The kernel gives a signal to any thread, so the wait for the end can be interrupted as well.
    counts[signal.SIGUSR1] = 0
    signal.signal(signal.SIGUSR1, note)
    watcher = threading.Thread(target=watch)
    watcher.daemon = True
    watcher.start()
    report([])
    while True:
        compute(100)
        # Not in the handler: 2.7 itself can lose a signal that comes while a handler ends.
        if noted:
            noted.pop()
            os.write(1, b's')


def main():
    unit = {'exec': run_exec}.get(MODE) or globals()[MODE]
    if MODE == 'timers':
        for number, timer in TIMERS.items():
            counts[number] = 0
            signal.signal(number, count)
            signal.setitimer(timer, 0.001, 0.001)
    if MODE == 'fork':
        counts[signal.SIGCHLD] = 0
        signal.signal(signal.SIGCHLD, count)
    wake = fall_asleep() if MODE == 'asleep' else lambda: None
    if 'again' in sys.argv:
        os.write(1, b'.')
    else:
        report([])
    while through_signals(os.read, 0, 1):
        unit()
        through_signals(os.write, 1, b'.')
    wake()
    for number, times in counts.items():
        if number in TIMERS:
            signal.setitimer(TIMERS[number], 0)
        if times == 0:
            wrong.append('no signal %d' % number)
    tell({'wrong': wrong})


if MODE == 'signals':
    signals()
main()
