"""Threads that stand in different places: a lock, a sleep, a pipe, a socket, an event, a queue; some have names."""
import os
import socket
import threading
import time

try:
    import queue
    from _thread import start_new_thread
except ImportError:
    import Queue as queue
    from thread import start_new_thread

from witness import arrive, ready


# In threading.Condition.wait; it acquires the lock once before, less indented, and does not block there.
BLOCKING = ' ' * 16 + 'waiter.acquire()'


class Worker(object):
    def wait_for_lock(self):
        lock.acquire(arrive(True))


def sleep():
    time.sleep(arrive(100000))


def read_pipe():
    os.read(arrive(pipe), 1)


def receive():
    listener.recv(arrive(1))


def wait_for_event():
    arrive(inside='wait', text=BLOCKING)
    event.wait()


def take_from_queue():
    arrive(inside='wait', text=BLOCKING)
    queue.Queue().get()


def nested(depth):
    if depth:
        return nested(depth - 1)
    return time.sleep(arrive(100000))


lock = threading.Lock()
lock.acquire()
event = threading.Event()
pipe = os.pipe()[0]
listener, other_end = socket.socketpair()
threads = [
    threading.Thread(target=Worker().wait_for_lock, name='waits for a lock'),
    threading.Thread(target=sleep),
    threading.Thread(target=read_pipe, name='reader'),
    threading.Thread(target=receive, name='x'),
    threading.Thread(target=wait_for_event, name='a name that is longer than what the kernel keeps of it'),
    threading.Thread(target=take_from_queue),
    threading.Thread(target=nested, args=(30,), name=''),
]
for thread in threads:
    thread.daemon = True
    thread.start()
start_new_thread(sleep, ())
os.read(ready(len(threads) + 1), 1)
os._exit(0)
