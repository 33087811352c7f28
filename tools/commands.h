/*
 * The subcommands of `keel`. Each takes its own arguments (argv[0] is "keel NAME") and returns the
 * exit status.
 */
#ifndef KEEL_TOOLS_COMMANDS_H
#define KEEL_TOOLS_COMMANDS_H

int demo_main(int argc, const char **argv);
int probe_main(int argc, const char **argv);
int wal_main(int argc, const char **argv);
int calibrate_main(int argc, const char **argv);
int check_main(int argc, const char **argv);
int stats_main(int argc, const char **argv);
int top_main(int argc, const char **argv);
int bench_main(int argc, const char **argv);
int report_main(int argc, const char **argv);
int crash_main(int argc, const char **argv);
int crash_sim_main(int argc, const char **argv);
int crash_kill_main(int argc, const char **argv);
int crash_witness_main(int argc, const char **argv);

/* The process that `keel demo` kills; started by it alone. */
#define DEMO_WORKER_NAME "demo-worker"
int demo_worker_main(int argc, const char **argv);

#endif
