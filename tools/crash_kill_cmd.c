/*
 * `keel crash kill`: starts a load, kills it with SIGKILL at a random moment, has what it left
 * verified, and does that again.
 *
 * Without --load it is keel's demo, which knows every transaction that it acknowledged. With --load
 * and --verify it is the user's own: both are commands of the shell. The load runs in a session of
 * its own and all of its process group is killed; the verification says by its exit status, 0, that
 * everything it had acknowledged is there. At the first violation the loop ends and leaves
 * everything as it is.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/prng.h"
#include "tools/cli.h"
#include "tools/commands.h"

#define LOOK_NS 1000000

struct kill_run {
    const char *command;
    const char *path, *load, *verify; /* load NULL: keel's demo at path */
    int loops, min_ms, max_ms, writers, json;
    long long seed;

    struct prng prng;
    uint64_t killed, early; /* loads that were killed; that ended by themselves before */
    uint64_t verified;      /* transactions of the demo, all loops */
    int done;               /* loops */
    uint32_t delay_ms;      /* of the last one */
    char why[256];          /* of the violation, "" */
};

static int wait_for(pid_t pid)
{
    int status;

    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR)
            return -1;
    }
    return status;
}

/* A command of the shell, in a session of its own. stdout goes to stderr: ours is for the report.
 */
static pid_t start_shell(const char *text, int loop)
{
    pid_t pid = fork();

    if (pid != 0)
        return pid;
    char number[16];
    snprintf(number, sizeof(number), "%d", loop);
    setenv("KEEL_CRASH_LOOP", number, 1);
    setsid();
    dup2(STDERR_FILENO, STDOUT_FILENO);
    execl("/bin/sh", "sh", "-c", text, (char *)NULL);
    _exit(127);
}

/* Until the time is over or it has ended. True: it lives. */
static bool let_run(pid_t pid, uint32_t ms)
{
    uint64_t deadline = clock_now_ns() + (uint64_t)ms * 1000000;
    struct timespec pause = {.tv_nsec = LOOK_NS};
    siginfo_t info = {0};

    while (clock_now_ns() < deadline) {
        if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == pid)
            return false;
        nanosleep(&pause, NULL);
    }
    return true;
}

/* ---------------------------------------------------------------- the user's own */

static int loop_user(struct kill_run *run, int loop)
{
    pid_t pid = start_shell(run->load, loop);

    if (pid < 0)
        return cli_fail(run->command, "fork: %s", strerror(errno));
    bool alive = let_run(pid, run->delay_ms);
    kill(-pid, SIGKILL); /* the whole group, whether the shell lives or not */
    int status = wait_for(pid);
    if (alive && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) {
        run->killed++;
    } else {
        run->early++;
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
            return cli_fail(run->command, "loop %d: the load ended by itself with status 0x%x",
                            loop, (unsigned)status);
    }

    pid = start_shell(run->verify, loop);
    if (pid < 0)
        return cli_fail(run->command, "fork: %s", strerror(errno));
    status = wait_for(pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    snprintf(run->why, sizeof(run->why), "loop %d, killed after %u ms: verification %s %d", loop,
             run->delay_ms, WIFEXITED(status) ? "ended with" : "died of signal",
             WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
    return 0;
}

/* ---------------------------------------------------------------- keel's demo */

static json_t *run_demo(struct kill_run *run)
{
    char writers[16], delay[16];
    json_error_t error;
    int fds[2];

    snprintf(writers, sizeof(writers), "%d", run->writers);
    snprintf(delay, sizeof(delay), "%u", run->delay_ms);
    if (pipe2(fds, O_CLOEXEC))
        return NULL;
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(fds[1], STDOUT_FILENO);
        execl("/proc/self/exe", "keel", "demo", "--path", run->path, "--writers", writers,
              "--kill-after", delay, "--json", (char *)NULL);
        _exit(127);
    }
    close(fds[1]);
    FILE *in = fdopen(fds[0], "r");
    json_t *report = in && pid > 0 ? json_loadf(in, 0, &error) : NULL;
    if (in)
        fclose(in);
    if (pid > 0)
        wait_for(pid);
    return report;
}

static int loop_demo(struct kill_run *run, int loop)
{
    json_t *report = run_demo(run);

    if (!report)
        return cli_fail(run->command, "loop %d: keel demo gave no report", loop);
    long long lost = json_integer_value(json_object_get(report, "lost"));
    long long invented = json_integer_value(json_object_get(report, "invented"));
    long long damaged =
        json_integer_value(json_object_get(json_object_get(report, "recovery"), "pages_damaged"));
    long long verified = json_integer_value(json_object_get(report, "verified"));
    const char *wrong = json_string_value(json_object_get(report, "wrong"));
    bool killed = json_is_true(json_object_get(report, "killed"));
    bool ok = json_is_true(json_object_get(report, "ok"));
    run->verified += (uint64_t)verified;
    run->killed += killed;
    run->early += !killed;
    if (lost || invented || damaged)
        snprintf(
            run->why, sizeof(run->why),
            "loop %d, killed after %u ms: %lld lost, %lld invented, %lld pages damaged: %.120s",
            loop, run->delay_ms, lost, invented, damaged, wrong ? wrong : "");
    json_decref(report);
    /* A demo that was killed before anything was acknowledged is no success by itself, but fine. */
    if (!ok && !run->why[0] && !(killed && verified == 0))
        return cli_fail(run->command, "loop %d: keel demo failed", loop);
    return 0;
}

/* ---------------------------------------------------------------- the loop */

static int run_loops(struct kill_run *run)
{
    int status = 0;

    prng_seed(&run->prng, (uint64_t)run->seed);
    for (int loop = 1; loop <= run->loops && !status && !run->why[0]; loop++) {
        uint64_t span = (uint64_t)(run->max_ms - run->min_ms) + 1;
        run->delay_ms = (uint32_t)run->min_ms + (uint32_t)prng_below(&run->prng, span);
        cli_progress("loop %d of %d: kill after %u ms", loop, run->loops, run->delay_ms);
        status = run->load ? loop_user(run, loop) : loop_demo(run, loop);
        run->done = loop;
    }
    cli_progress_end();
    return status;
}

static int report(const struct kill_run *run)
{
    bool ok = !run->why[0] && run->killed > 0;

    if (run->json) {
        int status =
            cli_json(run->command,
                     json_pack("{s:b,s:i,s:I,s:I,s:I,s:i,s:I,s:o}", "ok", (int)ok, "loops",
                               run->done, "killed", (json_int_t)run->killed, "ended_early",
                               (json_int_t)run->early, "verified", (json_int_t)run->verified,
                               "violations", run->why[0] ? 1 : 0, "seed", (json_int_t)run->seed,
                               "first", run->why[0] ? json_string(run->why) : json_null()));
        return status ? status : ok ? CLI_OK : CLI_FAILED;
    }
    if (run->why[0])
        printf("VIOLATION %s\n  again: --seed %lld --loops %d; what is there was left as it is\n",
               run->why, run->seed, run->done);
    if (!run->load)
        printf("%" PRIu64 " acknowledged transactions asked for\n", run->verified);
    printf("%d loops: %" PRIu64 " killed, %" PRIu64 " ended before, %d violations\n", run->done,
           run->killed, run->early, run->why[0] ? 1 : 0);
    if (!run->killed)
        return cli_fail(run->command,
                        "nothing was killed: the load ends too soon; give less --max");
    return ok ? CLI_OK : CLI_FAILED;
}

int crash_kill_main(int argc, const char **argv)
{
    static struct kill_run run = {.loops = 10,
                                  .min_ms = 50,
                                  .max_ms = 2000,
                                  .writers = 8,
                                  .seed = 1,
                                  .path = "./keel-demo"}; /* popt allocates; kept */
    const struct poptOption options[] = {
        {"loops", 0, POPT_ARG_INT, &run.loops, 0, "kills (10)", "N"},
        {"min", 0, POPT_ARG_INT, &run.min_ms, 0, "least time before the kill (50)", "MS"},
        {"max", 0, POPT_ARG_INT, &run.max_ms, 0, "most time (2000)", "MS"},
        {"seed", 0, POPT_ARG_LONGLONG, &run.seed, 0, "of the times (1)", "S"},
        {"path", 0, POPT_ARG_STRING, &run.path, 0, "of the demo's store (./keel-demo)", "DIR"},
        {"writers", 0, POPT_ARG_INT, &run.writers, 0, "threads of the demo (8)", "N"},
        {"load", 0, POPT_ARG_STRING, &run.load, 0, "your own load instead of the demo", "COMMAND"},
        {"verify", 0, POPT_ARG_STRING, &run.verify, 0,
         "judges what it left: status 0 says that all that it acknowledged is there", "COMMAND"},
        {"json", 0, POPT_ARG_NONE, &run.json, 0, "one JSON object on stdout", NULL},
        POPT_AUTOHELP POPT_TABLEEND,
    };

    if (cli_parse(argc, argv, options, "", NULL, 0) < 0)
        return CLI_USAGE;
    run.command = argv[0];
    if (cli_range(argv[0], "--loops", run.loops, 1, 1000000) ||
        cli_range(argv[0], "--min", run.min_ms, 1, 86400000) ||
        cli_range(argv[0], "--max", run.max_ms, run.min_ms, 86400000) ||
        cli_range(argv[0], "--writers", run.writers, 1, 128))
        return CLI_USAGE;
    if (!run.load != !run.verify)
        return cli_usage(argv[0], "--load and --verify go together, give both or none");
    int status = run_loops(&run);
    return status ? status : report(&run);
}
