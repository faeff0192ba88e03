"""heap_busy.py COUNT: keeps COUNT objects and goes on making and dropping others of all sizes, in two threads."""
import sys
import threading


class Kept(object):
    def __init__(self, number):
        self.number = number


class Dropped(object):
    def __init__(self, number):
        self.number = number
        self.items = [number] * (number % 50)
        self.text = 'x' * (number % 700)


def churn():
    some = []
    while True:
        some.extend([Dropped(number) for number in range(1000)])
        if len(some) > 20000:
            del some[:15000]


kept = [Kept(number) for number in range(int(sys.argv[1]))]
thread = threading.Thread(target=churn)
thread.daemon = True
thread.start()
sys.stdout.write('ready\n')
sys.stdout.flush()
churn()
