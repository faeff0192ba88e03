"""subinterpreters.py nested|thread|inner-thread|two-gils: code that runs in another interpreter of the process.

An OS thread that enters a subinterpreter has two thread states: its stack is the inner interpreter's frames, then
those of the interpreter it came from. Neither interpreter sees the other's frames, so each testifies for itself.
"""
import json
import os
import sys
import threading
import time

from testimony import report, stack_of, unsupported
from witness import frame_in, native_id, system_call

try:
    import _interpreters as interpreters  # 3.13 and later
except ImportError:
    try:
        import _xxsubinterpreters as interpreters  # 3.8 to 3.12
    except ImportError:
        unsupported('no module for subinterpreters')


def create(isolated):
    """A new interpreter; before 3.12 only one that is not isolated may start threads."""
    if sys.version_info < (3, 9):
        return interpreters.create()
    if sys.version_info < (3, 13):
        return interpreters.create(isolated=isolated)
    return interpreters.create('isolated' if isolated else 'legacy')


def this_thread(idle=True):
    thread = threading.current_thread()
    return {'thread_id': thread.ident, 'native_id': native_id(), 'name': thread.name, 'idle': idle}


def call(name, thread):
    """Source that calls inside.py's function `name` and knows the frames it is called from."""
    here = os.path.dirname(os.path.abspath(__file__))
    arguments = thread, stack_of(sys._getframe(1)), pipe[1], quiet[0]
    return 'import sys; sys.path.insert(0, %r); import inside; inside.%s%r' % (here, name, arguments)


def enter(name, isolated=True, idle=True):
    # An interpreter lives as long as its id before 3.13.
    created.append(create(isolated)); interpreters.run_string(created[-1], call(name, this_thread(idle)))


def spin():
    while True: pass


def spin_outside():
    running.append(dict(this_thread(False), stacks=[[frame_in(spin)] + stack_of(sys._getframe())])); spin()


def started(target, *arguments):
    thread = threading.Thread(target=target, args=arguments, name='worker')
    thread.daemon = True
    thread.start()
    return thread


def told():
    """The next thread that a subinterpreter describes."""
    line = b''
    while not line.endswith(b'\n'):
        line += os.read(pipe[0], 1)
    return json.loads(line.decode())


def finished(threads):
    """Waits until the idle ones of `threads` sleep in read, reports them and the caller; returns stdin."""
    deadline = time.time() + 60
    for thread in threads:
        while thread['idle'] and system_call(thread['native_id']) != 0:
            assert time.time() < deadline
    report([dict(this_thread(), stacks=[stack_of(sys._getframe(1))])] + threads)
    return 0


def nested():
    enter('nested')


def thread():
    started(enter, 'thread')
    os.read(finished([told()]), 1)


def inner_thread():
    enter('inner_thread', isolated=sys.version_info >= (3, 12))
    os.read(finished([told()]), 1)


def two_gils():
    if sys.version_info < (3, 12):
        unsupported('one GIL for all interpreters')
    started(enter, 'two_gils', True, False)
    inside = told()
    started(spin_outside)
    while not running:
        time.sleep(0.001)
    os.read(finished([inside] + running), 1)


pipe, quiet, running, created = os.pipe(), os.pipe(), [], []
globals()[sys.argv[1].replace('-', '_')]()
os._exit(0)
