"""pool.py METHOD PORT STOP: three workers meet the test, then the parent does, then all compute until STOP exists."""
import multiprocessing
import os
import sys

from meeting import meet, spin


def welcome(port):
    return meet(port), os.getpid()  # meets


def compute(rounds):
    return spin(rounds)  # computes


def main():
    method, port, stop = sys.argv[1:]
    with multiprocessing.get_context(method).Pool(3) as pool:
        met = pool.map(welcome, [port] * 3, chunksize=1)
        meet(port)  # the parent meets
        rounds = list(range(1000000, 1000006))
        expected = [(n - 1) * n * (2 * n - 1) // 6 for n in rounds]
        while not os.path.exists(stop):
            if pool.map(compute, rounds, chunksize=1) != expected:
                sys.exit('a wrong result')
    print('%d workers, all results were right' % len(set(met)))


if __name__ == '__main__':
    main()
