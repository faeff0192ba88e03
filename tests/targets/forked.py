"""threads.py in a child made by fork: ids that an interpreter keeps of its threads can be its parent's."""
import os
import sys
import threading

if sys.version_info[0] > 2:  # 2.7 keeps the state of the parent's threads in the child
    stay = threading.Event()
    threading.Thread(target=stay.wait).start()
if os.fork():
    status = os.wait()[1]
    os._exit(status >> 8)
path = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'threads.py')
with open(path) as file:
    exec(compile(file.read(), path, 'exec'))
