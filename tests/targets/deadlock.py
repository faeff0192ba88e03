"""Two threads, each of which holds a lock and waits for the other's."""
import os
import sys
import threading

accounts = threading.Lock()
journal = threading.Lock()
both = threading.Barrier(2)


def transfer():
    with accounts:
        both.wait()
        write_journal()  # transfer holds


def write_journal():
    with journal:  # transfer waits
        pass


def audit():
    journal.acquire()
    try:
        both.wait()
        sum_up()  # audit holds
    finally:
        journal.release()


def sum_up():
    accounts.acquire()  # audit waits


for work in transfer, audit:
    threading.Thread(target=work, name=work.__name__, daemon=True).start()
sys.stdout.write('root %d\n' % os.getpid())
sys.stdout.flush()
sys.stdin.readline()
