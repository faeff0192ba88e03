"""Threads that each do something else, so that every choice of a report finds what it chooses: MainThread and spin work,
sleep sleeps, collect collects garbage, import imports the same module over and over; and a child that works. Says `root PID`
and `child PID`; ends when stdin does."""
import gc
import os
import sys
import threading
import time

pipe = os.pipe()
child = os.fork()


def child_work():
    while True:
        pass


def wait_for_end(file):
    os.read(file, 1)
    os._exit(0)


def spin():
    count = 0
    while True:
        count = add(count)


def add(count):
    return count + 1


def sleep():
    time.sleep(100000)


def collect():
    while True:
        gc.collect()


def import_again():
    while True:
        sys.modules.pop('imported_again', None)
        import imported_again  # noqa


def start(name, target, *arguments):
    thread = threading.Thread(target=target, name=name, args=arguments)
    thread.daemon = True
    thread.start()


def main():
    spin()


if not child:
    os.close(pipe[1])
    start('end', wait_for_end, pipe[0])
    child_work()
# Garbage that takes a while to look at.
kept = [[number] for number in range(100000)]
start('spin', spin)
start('sleep', sleep)
start('collect', collect)
start('import', import_again)
start('end', wait_for_end, 0)
os.write(1, ('root %d\nchild %d\n' % (os.getpid(), child)).encode())
main()
