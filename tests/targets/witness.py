"""What the targets share: the interpreter's testimony of its own stacks, and the handshake with the test.

A thread is *in place* once it stands in a call from which only the test frees it. It testifies inside the very
expression of that call, so that its line is the same before and during the call:

    os.read(ready(), 1)         # one thread: waits for the others, prints the testimony, then reads stdin
    time.sleep(arrive(1000))    # every other thread

The test reads one line of JSON and waits until `ready`'s thread sleeps in read(0). A target ends when stdin closes.
Runs unchanged on 2.7 and 3.6 to 3.15.
"""
import dis
import linecache
import os
import sys
import threading
import time

from testimony import name_of, report, stack_of, tell

try:
    from thread import allocate_lock, get_ident
except ImportError:
    from _thread import allocate_lock, get_ident

HERE = os.path.abspath(__file__).replace('.pyc', '.py')
DEADLINE = 60

places = {}
# Held until the testimony has been given.
told = allocate_lock()
told.acquire()


class Place(object):
    """Where a thread is going to stand: in `function`, on a line that holds `text`, in one of `system_calls`."""

    def __init__(self, function, text='', system_calls=()):
        self.native_id = native_id()
        self.function, self.text, self.system_calls = function, text, system_calls
        self.running_stacks = None

    def is_reached(self, frame):
        if self.running_stacks is not None:
            return True
        if frame is None or frame.f_code.co_name != self.function:
            return False
        if os.path.abspath(frame.f_code.co_filename) == HERE:
            return False
        if self.text not in linecache.getline(frame.f_code.co_filename, frame.f_lineno):
            return False
        return not self.system_calls or system_call(self.native_id) in self.system_calls

    def testimony(self, ident, frame):
        idle = self.running_stacks is None
        return {'thread_id': ident, 'native_id': self.native_id, 'name': thread_name(ident), 'idle': idle,
                'stacks': [stack_of(frame)] if idle else self.running_stacks}


def native_id():
    """The kernel's id of this thread; before 3.8 `threading` does not tell."""
    if hasattr(threading, 'get_native_id'):
        return threading.get_native_id()
    import ctypes
    return ctypes.CDLL(None).syscall(186)


def system_call(tid):
    """The number of the system call that the thread `tid` of this process sleeps in."""
    with open('/proc/self/task/%d/syscall' % tid) as file:
        first = file.read().split()[0]
    return int(first) if first.isdigit() else None


def thread_name(ident):
    """The name given by `threading`, without making an entry for a thread it does not know."""
    thread = threading._active.get(ident)
    return thread.name if thread else None


def lines_of(function):
    """Every line that `function` can stand on, its `def` line included."""
    code = function.__code__
    return sorted(set(line for _, line in dis.findlinestarts(code) if line) | {code.co_firstlineno})


def frame_in(function, lines=None):
    """A frame of a running thread: `function` on any of `lines`."""
    code = function.__code__
    return {'name': name_of(code), 'filename': code.co_filename, 'lines': lines or lines_of(function)}


def arrive(value=None, inside=None, text='', system_calls=()):
    """Says that this thread is about to stand in its caller, or deeper in the function named `inside`, at a line
    that holds `text`; returns `value`, the argument of the call it is going to stand in."""
    places[get_ident()] = Place(inside or sys._getframe(1).f_code.co_name, text, system_calls)
    return value


def run_in(stacks, base):
    """Says that this thread runs for ever in one of `stacks` (innermost first) on top of the frame `base`."""
    place = Place(None)
    place.running_stacks = [stack + stack_of(base) for stack in stacks]
    places[get_ident()] = place


def in_place(threads):
    """The frame of each thread, once `threads` of them are in place; None before."""
    # In this order: what a thread stands in before it says that it is about to arrive is no testimony.
    expected = list(places.items())
    frames = sys._current_frames()
    if len(expected) >= threads and all(place.is_reached(frames.get(ident)) for ident, place in expected):
        return frames
    return None


def ready(threads=0, value=0, then=None):
    """Waits until `threads` others are in place, prints what all of them and the caller stand in, calls `then`,
    and returns `value` (0: stdin)."""
    deadline = time.time() + DEADLINE
    frames = in_place(threads)
    while frames is None:
        if time.time() > deadline:
            tell({'failed': dict((str(ident), stack_of(frame)) for ident, frame in sys._current_frames().items())})
            os._exit(1)
        time.sleep(0.001)  # lets the others run; what counts is the state looked at, not the time
        frames = in_place(threads)
    own = {'thread_id': get_ident(), 'native_id': native_id(), 'name': thread_name(get_ident()), 'idle': True,
           'stacks': [stack_of(sys._getframe(1))]}
    report([own] + [place.testimony(ident, frames.get(ident)) for ident, place in places.items()])
    if then:
        then()
    return value


def watch():
    """The body of a thread that testifies for the busy or sleeping main thread and ends the process with stdin."""
    os.read(ready(1, then=told.release), 1)
    os._exit(0)


def stand():
    """Stands still in the main thread; the usual end of a chain of calls."""
    os.read(ready(), 1)
    os._exit(0)


class Chain(object):
    """Links that each call the next one, so that one stack passes through all of them."""

    def __init__(self):
        self.links = []

    def link(self, function):
        self.links.append(function)
        return function

    def onward(self, *_, **__):
        """Calls the next link; after the last one stands still."""
        if self.links:
            return self.links.pop(0)()
        return stand()
