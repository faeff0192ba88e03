"""time_known.py: computes, reads /dev/zero and sleeps, for 0.3 s each."""
import time

clock = getattr(time, 'perf_counter', time.time)


def compute():
    end = clock() + 0.3
    total = 0
    while clock() < end:
        for number in range(1000):
            total += number
    return total


def read():
    end = clock() + 0.3
    with open('/dev/zero', 'rb', buffering=0) as zeros:
        while clock() < end:
            zeros.read(1 << 20)


def wait():
    time.sleep(0.1)


def main():
    compute()
    read()
    for _ in range(3):
        wait()
        end = clock() + 0.03
        while clock() < end:
            pass


kept = b'x' * 30000000
main()
