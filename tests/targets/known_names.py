"""known_names.py: code whose names people know, each calling the next. The comments are what the test looks for."""
import sys

from testimony import report


def main():
    (lambda: listed())()  # lambda


def listed():
    return [added() for _ in range(1)]  # list


def added():
    return {0: generated() for _ in range(1)}  # dict


def generated():
    return list(body() for _ in range(1))  # generator


def body():
    class Body(object):  # class
        Worker().work()  # body


class Worker(object):
    def work(self):
        def inner():
            executed()  # inner
        inner()  # method


def executed():
    exec('x = 1\nevaluated()', {'evaluated': evaluated})  # exec


def evaluated():
    eval('wait()', {'wait': wait})  # eval


def wait():
    report([])
    sys.stdin.read()


main()  # module
