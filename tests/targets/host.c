/* A program that embeds Python: runs the file $RSPY_TARGET, in a thread of its own if it is given an argument. */
#include <Python.h>
#include <pthread.h>

static void *run(void *failed) {
    Py_Initialize();
    *(int *)failed = PyRun_SimpleString("import os\n"
                                        "path = os.environ['RSPY_TARGET']\n"
                                        "exec(compile(open(path).read(), path, 'exec'))\n");
    return NULL;
}

int main(int count, char **arguments) {
    int failed = 1;
    pthread_t thread;
    (void)arguments;
    if (count == 1)
        run(&failed);
    else if (pthread_create(&thread, NULL, run, &failed) == 0)
        pthread_join(thread, NULL);
    return failed != 0;
}
