"""call_tree.py ROUNDS: twenty functions, each with work of its own, whose cumulative times are far apart; ROUNDS times.

Nothing in it looks at a clock or is random. A unit of work is UNIT steps of a loop, which no profiler of calls sees.
"""
import sys

UNIT = 5000


def main():
    count = 2 * UNIT
    while count:
        count -= 1
    load()
    compute()
    report()


def load():
    count = 3 * UNIT
    while count:
        count -= 1
    parse()
    read()


def parse():
    count = 8 * UNIT
    while count:
        count -= 1
    tokenize()
    validate()


def tokenize():
    count = 10 * UNIT
    while count:
        count -= 1


def validate():
    count = 4 * UNIT
    while count:
        count -= 1


def read():
    count = 1 * UNIT
    while count:
        count -= 1
    decode()


def decode():
    count = 2 * UNIT
    while count:
        count -= 1


def compute():
    count = 3 * UNIT
    while count:
        count -= 1
    solve()
    predict()


def solve():
    count = 4 * UNIT
    while count:
        count -= 1
    factor()
    substitute()


def factor():
    count = 5 * UNIT
    while count:
        count -= 1
    pivot()


def pivot():
    count = 14 * UNIT
    while count:
        count -= 1


def substitute():
    count = 8 * UNIT
    while count:
        count -= 1


def predict():
    count = 1 * UNIT
    while count:
        count -= 1
    sample()
    weigh()


def sample():
    count = 4 * UNIT
    while count:
        count -= 1


def weigh():
    count = 3 * UNIT
    while count:
        count -= 1


def report():
    count = 4 * UNIT
    while count:
        count -= 1
    render()
    store()


def render():
    count = 2 * UNIT
    while count:
        count -= 1
    layout()
    draw()


def layout():
    count = 2 * UNIT
    while count:
        count -= 1


def draw():
    count = 8 * UNIT
    while count:
        count -= 1


def store():
    count = 1 * UNIT
    while count:
        count -= 1


for _ in range(int(sys.argv[1])):
    main()
