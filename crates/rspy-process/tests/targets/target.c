// What the tests stop: one program, one mode for each test.
//
// A mode prints lines, the first of them "ready COUNTERS PID", and reads single characters
// from standard input; both are handshakes, nothing sleeps for a guessed time.

#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static void say(const char *format, ...) {
    char line[256];
    va_list values;
    va_start(values, format);
    int length = vsnprintf(line, sizeof line, format, values);
    va_end(values);
    if (write(1, line, length) != length) _exit(3);
}

// The next character of standard input; 'q' at its end.
static char heard(void) {
    char c;
    for (;;) {
        ssize_t got = read(0, &c, 1);
        if (got == 1) return c;
        if (got == 0 || errno != EINTR) return 'q';
    }
}

static _Atomic unsigned long counters[64];

static void ready(void) { say("ready %lu %d\n", (unsigned long)counters, getpid()); }

static void handle(int signal, void (*handler)(int)) {
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
    sigaction(signal, &action, NULL);
}

// For modes that count signals without telling them apart.
static void on_signal(int signal) { (void)signal; atomic_fetch_add(&counters[63], 1); }

static void handle_signals(void) {
    handle(SIGUSR1, on_signal);
    handle(SIGUSR2, on_signal);
    handle(SIGTRAP, on_signal);
}

static pthread_t start(void *(*run)(void *), void *argument) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, run, argument)) _exit(4);
    return thread;
}

// ---- spin N: N threads count, each its own counter; the main thread listens

static void *count(void *counter) {
    for (;;) atomic_fetch_add((_Atomic unsigned long *)counter, 1);
    return NULL;
}

static void spin(int threads) {
    handle_signals();
    for (int i = 0; i < threads; i++) start(count, &counters[i]);
    ready();
    for (char c = heard(); c != 'q'; c = heard()) {
        if (c == 'x') exit(5);                      // the process ends, with 5
        if (c == 'e') pthread_exit(NULL);           // only the main thread ends
    }
    _exit(0);
}

// ---- alone: one thread, that counts

static void alone(void) {
    handle_signals();
    ready();
    count(&counters[0]);
}

// ---- work: computes, checks its results, and counts every signal it is sent

enum { BURST = 50 };

static struct {
    _Atomic long sent, sent_usr1, received, received_usr1, sum, alarms, profs, rounds, errors;
    _Atomic int end;
} *tally;
static int acknowledge[2];
static _Atomic int finished;

static void on_realtime(int signal, siginfo_t *info, void *context) {
    (void)signal, (void)context;
    atomic_fetch_add(&tally->sum, info->si_value.sival_int);
    if ((atomic_fetch_add(&tally->received, 1) + 1) % BURST == 0 && write(acknowledge[1], "", 1) != 1) _exit(3);
}
static void on_usr1(int signal) { (void)signal; atomic_fetch_add(&tally->received_usr1, 1); }
static void on_alarm(int signal) { (void)signal; atomic_fetch_add(&tally->alarms, 1); }
static void on_prof(int signal) { (void)signal; atomic_fetch_add(&tally->profs, 1); }

static unsigned long chain(unsigned long x) {
    for (int i = 0; i < 1000; i++) x ^= x << 13, x ^= x >> 7, x ^= x << 17;
    return x;
}

static void *compute(void *expected) {
    while (!finished) {
        volatile unsigned long seed = 88172645463325252UL;
        if (chain(seed) != (unsigned long)expected) atomic_fetch_add(&tally->errors, 1);
        atomic_fetch_add(&tally->rounds, 1);
    }
    return NULL;
}

// Sends bursts of real-time signals, which queue and thus can be counted, and one
// SIGUSR1, which does not and so waits until the last one was handled.
static void send_signals(pid_t target, int bursts) {
    char c;
    for (int burst = 0; burst != bursts && !tally->end; burst++) {
        tally->sent_usr1++;
        kill(target, SIGUSR1);
        for (int i = 0; i < BURST; i++) {
            union sigval value = {.sival_int = i + 1};
            while (sigqueue(target, SIGRTMIN + 3, value)) sched_yield();
            tally->sent++;
        }
        if (read(acknowledge[0], &c, 1) != 1) break;
        while (tally->received_usr1 != tally->sent_usr1) sched_yield();
    }
    _exit(0);
}

// work BURSTS: until all bursts are handled; -1: until told to end
static void work(int bursts) {
    tally = mmap(NULL, sizeof *tally, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (tally == MAP_FAILED || pipe(acknowledge)) _exit(4);
    struct sigaction action = {.sa_sigaction = on_realtime, .sa_flags = SA_SIGINFO | SA_RESTART};
    sigaction(SIGRTMIN + 3, &action, NULL);
    handle(SIGUSR1, on_usr1);
    handle(SIGALRM, on_alarm);
    handle(SIGPROF, on_prof);

    pid_t target = getpid(), sender = fork();
    if (sender == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        send_signals(target, bursts);
    }
    volatile unsigned long seed = 88172645463325252UL;
    void *expected = (void *)chain(seed);
    pthread_t first = start(compute, expected), second = start(compute, expected);
    // The computing threads get the signals, the main thread listens.
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    struct itimerval often = {{0, 100}, {0, 100}};
    setitimer(ITIMER_REAL, &often, NULL);
    setitimer(ITIMER_PROF, &often, NULL);
    ready();

    if (bursts < 0) {
        heard();
        atomic_store(&tally->end, 1);
    }
    // Were a signal lost, the sender would wait for it for ever: say so instead.
    int lost = 1;
    for (int patience = 0; lost && patience < 10000; patience++) {
        if (waitpid(sender, NULL, WNOHANG) == sender) lost = 0;
        else usleep(1000);
    }
    atomic_store(&finished, 1);
    pthread_join(first, NULL);
    pthread_join(second, NULL);
    say("done lost %d realtime %ld of %ld sum %ld usr1 %ld of %ld errors %ld busy %d\n", lost,
        tally->received, tally->sent, tally->sum - tally->sent / BURST * (BURST * (BURST + 1) / 2),
        tally->received_usr1, tally->sent_usr1, tally->errors,
        tally->rounds > 0 && tally->alarms > 0 && tally->profs > 0);
    _exit(0);
}

// ---- threads N: starts and joins N threads, four at a time

static void *short_life(void *counter) {
    for (int i = 0; i < 2000; i++) atomic_fetch_add((_Atomic unsigned long *)counter, 1);
    return NULL;
}

static void threads(int total) {
    ready();
    for (int i = 0; i < total; i += 4) {
        pthread_t some[4];
        for (int j = 0; j < 4; j++) some[j] = start(short_life, &counters[0]);
        for (int j = 0; j < 4; j++) pthread_join(some[j], NULL);
    }
    say("done %lu\n", atomic_load(&counters[0]) / 2000);
    heard();
    _exit(0);
}

// ---- exec N: the process executes itself N times, from a thread that is not its first

static char **arguments;

static void *sleep_on(void *unused) {
    for (;;) pause();
    return unused;
}

static void *exec_next(void *left) {
    char text[16];
    snprintf(text, sizeof text, "%d", (int)(long)left - 1);
    execl("/proc/self/exe", arguments[0], "exec", text, "next", NULL);
    _exit(6);
}

static void exec_chain(int left, int is_first) {
    if (is_first) ready();
    if (left == 0) {
        say("done\n");
        heard();
        _exit(0);
    }
    for (int i = 0; i < 12; i++) start(sleep_on, NULL);
    start(exec_next, (void *)(long)left);
    count(&counters[0]);
}

// ---- become N: a thread executes another program when told to; N others sleep

static void *exec_when_told(void *unused) {
    heard();
    execl("/proc/self/exe", arguments[0], "spin", "1", NULL);
    return unused;
}

static void become(int threads) {
    for (int i = 0; i < threads; i++) start(sleep_on, NULL);
    start(exec_when_told, NULL);
    ready();
    sleep_on(NULL);
}

// ---- forks N: N children one after the other, each told of by SIGCHLD

static _Atomic int children_ended;
static void on_child(int signal) { (void)signal; children_ended++; }

static void forks(int total) {
    handle(SIGCHLD, on_child);
    ready();
    int wrong = 0;
    for (int i = 0; i < total; i++) {
        pid_t child = fork();
        if (child == 0) _exit(i % 100);
        int status = 0;
        while (children_ended <= i) {
            // Busy, so that there is a running thread to stop.
        }
        if (waitpid(child, &status, 0) != child || WEXITSTATUS(status) != i % 100) wrong++;
    }
    say("done %d wrong %d\n", children_ended, wrong);
    heard();
    _exit(0);
}

// ---- vfork: the parent waits in vfork, where it cannot stop, until told to go on

static void in_vfork(void) {
    handle_signals();
    pid_t pid = getpid();
    if (vfork() == 0) {
        say("ready %lu %d\n", (unsigned long)counters, pid);
        heard();
        _exit(0);
    }
    say("left %lu\n", counters[63]);
    start(count, &counters[0]);
    heard();
    _exit(0);
}

// ---- tracer PID: traces a thread until told to end

static void tracer(int tid) {
    if (ptrace(PTRACE_SEIZE, tid, 0, 0)) _exit(7);
    ready();
    heard();
    _exit(0);
}

// ---- child MODE N: a child runs that mode; this process tells how it ended

static void parent_of(pid_t child) {
    int status = 0;
    waitpid(child, &status, 0);
    say("ended %d\n", WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status));
    heard();
    _exit(0);
}

int main(int count_of_arguments, char **values) {
    arguments = values;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (count_of_arguments > 1 && !strcmp(values[1], "child")) {
        pid_t child = fork();
        if (child) parent_of(child);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        values++, count_of_arguments--;
    }
    const char *mode = count_of_arguments > 1 ? values[1] : "";
    int number = count_of_arguments > 2 ? atoi(values[2]) : 0;
    if (!strcmp(mode, "spin")) spin(number);
    if (!strcmp(mode, "alone")) alone();
    if (!strcmp(mode, "secret")) prctl(PR_SET_DUMPABLE, 0), spin(number);
    if (!strcmp(mode, "work")) work(number);
    if (!strcmp(mode, "threads")) threads(number);
    if (!strcmp(mode, "exec")) exec_chain(number, count_of_arguments == 3);
    if (!strcmp(mode, "become")) become(number);
    if (!strcmp(mode, "forks")) forks(number);
    if (!strcmp(mode, "vfork")) in_vfork();
    if (!strcmp(mode, "tracer")) tracer(number);
    return 2;
}
