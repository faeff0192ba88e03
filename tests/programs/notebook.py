"""notebook.py CONNECTION PORT STOP: a client of a Jupyter kernel. Runs cell.py as its first cell, one that meets the
test, and then one that computes again and again until STOP exists."""
import os
import sys

from jupyter_client import BlockingKernelClient


def run(client, cell):
    """Executes a cell and returns what its last expression is."""
    values = []

    def note(message):
        if message['msg_type'] == 'execute_result':
            values.append(message['content']['data']['text/plain'])
    reply = client.execute_interactive(cell, output_hook=note, timeout=100)
    if reply['content']['status'] != 'ok':
        sys.exit('the cell failed: %s' % reply['content'])
    return values


def main():
    connection, port, stop = sys.argv[1:]
    client = BlockingKernelClient(connection_file=connection)
    client.load_connection_file()
    client.start_channels()
    client.wait_for_ready(timeout=100)
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), 'cell.py')) as file:
        run(client, file.read())
    run(client, 'welcome(%s)' % port)
    while not os.path.exists(stop):
        if run(client, 'compute(1000000)') != ['333332833333500000']:
            sys.exit('a wrong result')
    print('all results were right')


if __name__ == '__main__':
    main()
