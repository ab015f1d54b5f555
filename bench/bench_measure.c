/* Runs a command and prints its CPU time and peak RSS. A small program of its own, since a child's peak RSS starts at
 * what its parent held when it forked: below an interpreter the figure would be the interpreter's. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common.h"

static double seconds(struct timeval t) { return (double)t.tv_sec + (double)t.tv_usec / 1e6; }

int main(int argc, char **argv)
{
    if (argc < 3)
        die("bench_measure RESULT-FILE COMMAND...");
    pid_t pid = fork();
    if (pid == 0) {
        execvp(argv[2], argv + 2);
        die("%s: %s", argv[2], strerror(errno));
    }
    int status;
    struct rusage use;
    if (pid < 0 || wait4(pid, &status, 0, &use) != pid)
        die("%s: %s", argv[2], strerror(errno));
    FILE *f = fopen(argv[1], "w");
    if (!f)
        die("%s: %s", argv[1], strerror(errno));
    fprintf(f, "{\"user_s\":%.6f,\"system_s\":%.6f,\"cpu_s\":%.6f,\"rss_kib\":%ld,\"exit\":%d}\n",
            seconds(use.ru_utime), seconds(use.ru_stime), seconds(use.ru_utime) + seconds(use.ru_stime), use.ru_maxrss,
            WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    return fclose(f) == 0 ? 0 : 1;
}
