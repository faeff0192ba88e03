"""Threads of several names that work for ever: alpha, beta-1, one that names itself late, and the main thread. Says `root PID`."""
import os
import threading


def work():
    while True:
        for _ in range(1000):
            pass


def alpha():
    work()


def beta():
    work()


def late():
    threading.current_thread().name = 'named late'
    work()


def main():
    work()


def watch():
    os.read(0, 1)
    os._exit(0)


for name, target in [('alpha', alpha), ('beta-1', beta), ('early', late), ('watch', watch)]:
    thread = threading.Thread(target=target, name=name)
    thread.daemon = True
    thread.start()
os.write(1, ('root %d\n' % os.getpid()).encode())
main()
