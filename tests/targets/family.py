"""Processes that start others: says their ids, a line of words for each step, and goes on when it reads a line."""
import os
import subprocess
import sys
import threading
import time
import warnings

warnings.simplefilter('ignore', DeprecationWarning)  # of fork() where there are threads


def say(*words):
    sys.stdout.write(' '.join(map(str, words)) + '\n')
    sys.stdout.flush()


def listen():
    return sys.stdin.readline()


def fork(work):
    """A child that does `work`, and ends."""
    child = os.fork()
    if not child:
        try:
            work()
        finally:
            os._exit(0)
    return child


def wait_until_closed(pipe):
    """For children: only one process can read the lines."""
    os.close(pipe[1])
    os.read(pipe[0], 1)


def generations():
    """A child, its child, and one that another thread has started."""
    pipe = os.pipe()

    def child():
        grandchild = fork(lambda: wait_until_closed(pipe))
        say('grandchild', grandchild)
        wait_until_closed(pipe)

    fork(child)

    def start():
        say('by-thread', fork(lambda: wait_until_closed(pipe)))
        os.read(pipe[0], 1)

    thread = threading.Thread(target=start)
    thread.daemon = True
    thread.start()
    listen()


def orphan():
    """A child that ends and leaves one behind, which starts another one then."""
    pipe = os.pipe()
    ready, go = os.pipe(), os.pipe()

    def left():
        os.write(ready[1], b'x')
        os.read(go[0], 1)
        say('late', fork(lambda: wait_until_closed(pipe)))
        wait_until_closed(pipe)

    def child():
        say('left', fork(left))
        os.read(ready[0], 1)
        os.read(go[0], 1)

    middle = fork(child)
    listen()
    os.write(go[1], b'x')
    # Whoever has read it, the other one gets the next.
    os.write(go[1], b'x')
    os.waitpid(middle, 0)
    listen()


def zombie():
    """A child that has ended and is not waited for."""
    child = fork(lambda: None)
    while open('/proc/%d/stat' % child).read().rpartition(')')[2].split()[0] != 'Z':
        time.sleep(0.001)
    say('zombie', child)
    listen()


def become():
    """A shell that becomes Python when it has read a line."""
    shell = subprocess.Popen(
        ['sh', '-c', 'read line; exec "$0" "$1" sleep', sys.executable, os.path.abspath(__file__)],
        stdin=subprocess.PIPE)
    say('shell', shell.pid)
    listen()
    shell.stdin.write(b'x\n')
    shell.stdin.flush()
    listen()
    shell.stdin.close()
    shell.wait()


def sleep():
    listen()


def storm():
    """200 children a second for as many seconds as it is told, each of which lives for up to 20 ms; then one that stays."""
    seconds = float(sys.argv[2])
    start = time.time()
    count = 0
    living = set()
    while time.time() < start + seconds:
        lifetime = count % 5 * 0.005
        living.add(fork(lambda: time.sleep(lifetime)))
        count += 1
        while living:
            child = os.waitpid(-1, os.WNOHANG)[0]
            if not child:
                break
            living.discard(child)
        time.sleep(max(0, start + count * 0.005 - time.time()))
    for child in living:
        os.waitpid(child, 0)
    pipe = os.pipe()
    say('last', fork(lambda: wait_until_closed(pipe)))
    listen()


say('root', os.getpid())
{'generations': generations, 'orphan': orphan, 'zombie': zombie, 'become': become, 'sleep': sleep,
 'storm': storm}[sys.argv[1]]()
