"""A Celery application with its queue in a folder. Run as a program it is the client: it sends tasks until the file
named by its argument exists, and checks every result."""
import os
import sys

from celery import Celery

from meeting import meet, spin

FOLDER = os.environ['QUEUE']

app = Celery('celery_app', broker='filesystem://', backend='file://' + os.path.join(FOLDER, 'results'))
app.conf.broker_transport_options = {
    'data_folder_in': os.path.join(FOLDER, 'queue'),
    'data_folder_out': os.path.join(FOLDER, 'queue'),
    'control_folder': os.path.join(FOLDER, 'control'),
}
app.conf.task_default_queue = 'programs'


@app.task(name='compute')
def compute(rounds):
    return spin(rounds)  # computes


@app.task(name='welcome')
def welcome(port):
    return meet(port)  # meets


def send(stop):
    sent = 0
    while not os.path.exists(stop):
        tasks = [(rounds, compute.delay(rounds)) for rounds in range(2000000, 2000008)]
        for rounds, task in tasks:
            expected = (rounds - 1) * rounds * (2 * rounds - 1) // 6
            if task.get(timeout=100, interval=0.01) != expected:
                sys.exit('a wrong result for %d' % rounds)
        sent += len(tasks)
    print('all of %d results were right' % sent)


if __name__ == '__main__':
    if sys.argv[1] == 'meet':
        print(welcome.delay(int(sys.argv[2])).get(timeout=100, interval=0.01))
    else:
        send(sys.argv[2])
