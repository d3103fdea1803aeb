/* Cause events at a chosen rate, with as little work around them as there can be.

   event_load open|exec|connect ARGUMENT COUNT SECONDS RATE

   open:    one of FILES files in ARGUMENT is opened for writing and closed, in turn, and each
            CANARY_EVERYth time ARGUMENT/canary
   exec:    ARGUMENT is executed by a fork and waited for; its argument is a number, from 1 on
   connect: a datagram socket is connected to port ARGUMENT of 127.0.0.1 (nothing is sent, and no
            port is used up, however long it goes on)

   It ends after COUNT events or SECONDS, whichever comes first (0: no such limit); RATE is events a
   second, in bursts of a millisecond, or 0 for all that can be had. Prints events, seconds and
   seconds of processor time, those of children that have ended included. */

#include <arpa/inet.h>
#include <err.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { CANARY_EVERY = 1000, FILES = 256, LOOK_EVERY = 64, PATH_BYTES = 256 };

static const char *argument;
static char files[FILES][PATH_BYTES], canary[PATH_BYTES];
static int datagrams;
static struct sockaddr_in address;

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

static double cpu(int who) {
    struct rusage used;
    getrusage(who, &used);
    return used.ru_utime.tv_sec + used.ru_stime.tv_sec +
           (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

static void open_one(long number) {
    const char *path = number % CANARY_EVERY ? files[number % FILES] : canary;
    int opened = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (opened < 0)
        err(1, "open in %s", argument);
    close(opened);
}

static void execute_one(long number) {
    char text[24];
    snprintf(text, sizeof text, "%ld", number);
    char *arguments[] = {(char *)argument, text, NULL};
    pid_t child = fork();
    if (child < 0)
        err(1, "fork");
    if (child == 0) {
        execv(argument, arguments);
        _exit(127);
    }
    int status;
    if (waitpid(child, &status, 0) < 0 || status != 0)
        errx(1, "%s ended with status %d", argument, status);
}

static void connect_one(long number) {
    (void)number;
    if (connect(datagrams, (struct sockaddr *)&address, sizeof address) != 0)
        err(1, "connect");
}

static void (*prepare(const char *kind))(long) {
    if (strcmp(kind, "open") == 0) {
        for (int number = 0; number < FILES; number++)
            snprintf(files[number], PATH_BYTES, "%s/file-%03d.dat", argument, number);
        snprintf(canary, sizeof canary, "%s/canary", argument);
        return open_one;
    }
    if (strcmp(kind, "exec") == 0)
        return execute_one;
    if (strcmp(kind, "connect") == 0) {
        address.sin_family = AF_INET;
        address.sin_port = htons(atoi(argument));
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        datagrams = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        return connect_one;
    }
    errx(1, "%s: expected open, exec or connect", kind);
}

int main(int argc, char **argv) {
    if (argc != 6)
        errx(1, "expected KIND ARGUMENT COUNT SECONDS RATE");
    /* A load goes on without an end, and is not to outlive whoever measures. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    argument = argv[2];
    void (*one)(long) = prepare(argv[1]);
    long count = atol(argv[3]), done = 0;
    double seconds = atof(argv[4]), rate = atof(argv[5]), passed = 0, began = now();
    /* Execs are so slow that each of them can be followed by a look at the clock. */
    long look_every = one == execute_one ? 1 : LOOK_EVERY;
    while (!count || done < count) {
        one(++done);
        if (rate ? done < rate * passed : done % look_every != 0)
            continue;
        passed = now() - began;
        while (rate && done >= rate * passed) {
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
            passed = now() - began;
        }
        if (seconds && passed >= seconds)
            break;
    }
    printf("%ld %.9f %.9f\n", done, now() - began, cpu(RUSAGE_SELF) + cpu(RUSAGE_CHILDREN));
    return 0;
}
