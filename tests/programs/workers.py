"""workers.py HOW PORT: three workers, each of which meets the test in a function of its own, and then works in it until the
test hangs up; the parent meets it as well, and waits until it hangs up. HOW the workers are started:

fork, spawn, forkserver  a multiprocessing.Pool with that method
executor                 concurrent.futures.ProcessPoolExecutor
children                 os.fork, and nobody waits for them before the test has hung up
replaced                 one worker only, which replaces itself by another program when the test hangs up the first time
shell                    one worker only, by a shell, when the test lets the parent go on
"""
import multiprocessing
import os
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor

from meeting import company, is_open, spin


def alpha(port):
    connection = company(port)
    while is_open(connection):
        spin(10000)


def beta(port):
    connection = company(port)
    while is_open(connection):
        spin(10000)


def gamma(port):
    connection = company(port)
    while is_open(connection):
        spin(10000)


def replaced(port):
    connection = company(port)
    while is_open(connection):
        spin(10000)
    os.execv(sys.executable, [sys.executable, os.path.abspath(__file__), 'replacement', port])


def replacement(port):
    connection = company(port)
    while is_open(connection):
        spin(10000)


def lead(port):
    """The parent has nothing to do."""
    company(port).recv(1)


def pool(method, port):
    with multiprocessing.get_context(method).Pool(3) as workers:
        results = [workers.apply_async(function, [port]) for function in (alpha, beta, gamma)]
        lead(port)
        for result in results:
            result.get()


def executor(port):
    with ProcessPoolExecutor(3) as workers:
        results = [workers.submit(function, port) for function in (alpha, beta, gamma)]
        lead(port)
        for result in results:
            result.result()


def fork(function, port):
    child = os.fork()
    if not child:
        try:
            function(port)
        finally:
            os._exit(0)
    return child


def children(functions, port):
    started = [fork(function, port) for function in functions]
    lead(port)
    for child in started:
        os.waitpid(child, 0)


def shell(port):
    connection = company(port)
    subprocess.call(['sh', '-c', '"$@"; true', 'sh', sys.executable, os.path.abspath(__file__), 'replacement', port])
    connection.recv(1)


def main():
    how, port = sys.argv[1:]
    if how == 'executor':
        executor(port)
    elif how == 'children':
        children([alpha, beta, gamma], port)
    elif how == 'replaced':
        children([replaced], port)
    elif how in ('shell', 'replacement'):
        globals()[how](port)
    else:
        pool(how, port)


if __name__ == '__main__':
    main()
