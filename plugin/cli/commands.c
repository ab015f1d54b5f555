/* The table of subcommands and of exit codes. */
#include <string.h>

#include "cli/check.h"
#include "cli/cli.h"
#include "cli/push.h"
#include "cli/queue/queue_cmd.h"
#include "cli/receive/receive.h"

const struct cli_command cli_commands[] = {
    {
        "push metrics",
        "read Prometheus' exposition formats, deliver them by remote write",
        "[OPTION]... [FILE]...",
        "Reads the Prometheus text format 0.0.4, OpenMetrics 1.0 or delimited protobuf from the files, or from "
        "standard input when there is none or it is \"-\", and delivers every sample, native histogram and exemplar. A "
        "sample without a timestamp gets the time it was read. A line, or a metric of protobuf, that cannot be parsed "
        "is named on standard error, counted and skipped. While the receiver is away input is not read any further; "
        "nothing is dropped.\n\n"
        "Since when a counter, histogram or summary has counted is said in protobuf, and by the _created samples of "
        "OpenMetrics where they stand next to the others of their metric: it goes as start time with all of them, "
        "unless it is not before their own time. Remote write 2.0 has a place for it; _created stays a series beside, "
        "for receivers of 1.0 too. Of a histogram with native and classic buckets the native ones are taken; le and "
        "quantile are written as Prometheus 3 does (1.0, 1e+06).\n\n"
        "With --scrape or --targets it polls endpoints instead, as Prometheus does: labels job and instance, the "
        "series up "
        "and scrape_*, stale markers when a series vanishes, a scrape fails or the tool ends. A scrape is sent whole, "
        "with "
        "others that come within metrics_batch_age. While the receiver is away what is oldest is dropped at "
        "memory_limit; queue_dir keeps it. An exemplar is sent once, not with every scrape that shows it. It runs "
        "until SIGINT or SIGTERM, and exits with 0 then.\n\n"
        "A file of --targets has one target a line: its URL, then KEY=VALUE, a value with blanks in double quotes; "
        "what "
        "begins with # is a remark. A key wins over the option for all targets; user and password_file set a token of "
        "the "
        "options aside, and the other way round; an empty value takes an option's away. label.NAME adds a label, "
        "label.instance says what the URL would say else. At SIGHUP the files are read again: targets whose line says "
        "the "
        "same go on untouched, new ones begin, the series of those that are gone end; after an error all stays as it "
        "was.\n\n"
        "Passwords and tokens come from files, which are read again when they change, certificates with each new "
        "connection. They go to the host in the URL alone, also after a redirect, and over http only to this machine, "
        "unless cleartext is on. A target that fails has up = 0; why is told when it begins, changes and ends.",
        "gcw push metrics --url http://localhost:9090/api/v1/write --scrape node=http://localhost:9100/metrics "
        "--interval 15s\n"
        "gcw push metrics -c /etc/gcw/gcw.conf --targets /etc/gcw/targets\n"
        "curl -s http://localhost:9100/metrics | gcw push metrics --url http://localhost:9090/api/v1/write\n"
        "gcw push metrics --url https://prometheus-prod-01.grafana.net/api/prom/push --tenant 123456 --token-file "
        "token "
        "node.prom",
        push_metrics_options,
        push_metrics_main,
    },
    {
        "push logs",
        "read lines, deliver them to Loki",
        "[OPTION]... [FILE]...",
        "Reads lines from the files, or from standard input when there is none or it is \"-\", and delivers each as an "
        "entry. Its time is when it was read, or what --timestamp-key finds in a JSON line. Without any label the "
        "stream "
        "is {job=\"gcw\"}.\n\n"
        "A line that should be JSON and is not is named on standard error, counted and skipped. While the receiver is "
        "away input is not read any further; nothing is dropped.",
        "gcw push logs --url http://localhost:3100 --label job=app --label host=web-1 app.log\n"
        "gcw push logs -c /etc/gcw.conf --timestamp-key time --label-key level --metadata-key trace_id app.json",
        push_logs_options,
        push_logs_main,
    },
    {
        "check",
        "try URLs, tenants, token and scope on the receivers",
        "[OPTION]...",
        "Checks the configuration, then sends each receiver that is configured one push without records, signed as the "
        "writer would, and says what came of it: whether the URL takes pushes, whether tenant and token belong "
        "together, "
        "whether the token has the scope; which remote write it is to be, by metrics_protocol; and what to look at "
        "when not. Nothing is stored. Exit code 0 when every receiver said yes, 1 when one did not, 2 when the "
        "configuration is wrong.",
        "gcw check -c /etc/gcw.conf\n"
        "gcw check --logs-url https://logs-prod-006.grafana.net --logs-tenant 654321 --token-file token",
        check_options,
        check_main,
    },
    {
        "receive",
        "stand in for Grafana Cloud: accept, check, write down",
        "[OPTION]...",
        "Listens on the loopback interface and takes pushes like the gateways of Grafana Cloud, Mimir and Loki: it "
        "checks "
        "tenant, token and scope, decodes strictly, applies the receivers' default limits with their statuses and "
        "words, "
        "and writes what it accepted as lines of JSON. It can be told to misbehave, by options and by a control URL "
        "while it "
        "runs. For demonstrations, tests and continuous integration; it stores nothing else.",
        "gcw receive --listen 127.0.0.1:9009 --out accepted.ndjson\n"
        "gcw receive --tenant 123456 --token-file token --scope metrics:write --port-file port -m status=503:3",
        receive_options,
        receive_main,
    },
    {
        "queue list",
        "what waits in a queue directory, for whom, how old, how much",
        "[OPTION]... DIR",
        "Reads the files of a queue directory, checksums included, and prints a line for each route: signal, tenant, "
        "lane. Changes nothing; a writer may be at work.",
        "gcw queue list /var/lib/gcw/queue",
        queue_list_options,
        queue_list_main,
    },
    {
        "queue inspect",
        "every request in a queue directory",
        "[OPTION]... DIR",
        "Prints a line for each request: where it lies, whether it waits or has ended, how many records of what times "
        "it holds; and what is damaged. Changes nothing.",
        "gcw queue inspect --json /var/lib/gcw/queue | jq 'select(.state == \"waiting\")'",
        queue_inspect_options,
        queue_inspect_main,
    },
    {
        "queue replay",
        "send what waits in a queue directory",
        "[OPTION]... DIR",
        "Sends the requests in the directory, in their order, to the given URLs, with the tenants they were written "
        "for; of a signal without a URL nothing is touched. What is delivered leaves the directory. No other writer "
        "may be "
        "using it.",
        "gcw queue replay --logs-url http://localhost:3100 /var/lib/gcw/queue",
        queue_replay_options,
        queue_replay_main,
    },
    {
        "queue drop",
        "throw away what waits in a queue directory",
        "[OPTION]... DIR",
        "Removes the requests of a signal, a tenant, or all. Without --yes it only tells what it would drop.",
        "gcw queue drop --signal logs --tenant 123456 --yes /var/lib/gcw/queue",
        queue_drop_options,
        queue_drop_main,
    },
};
const size_t cli_command_count = sizeof cli_commands / sizeof cli_commands[0];

const struct cli_command *cli_command_named(const char *name)
{
    for (size_t i = 0; i < cli_command_count; i++)
        if (strcmp(cli_commands[i].name, name) == 0)
            return &cli_commands[i];
    return NULL;
}

const struct cli_exit *cli_exits(size_t *count)
{
    static const struct cli_exit exits[] = {
        {EXIT_ALL_DELIVERED, "everything was delivered"},
        {EXIT_NOT_DELIVERED, "records were rejected by the receiver, refused by a check, expired or dropped"},
        {EXIT_USAGE, "the command line or the configuration is wrong; nothing was sent"},
        {EXIT_MALFORMED, "all records were delivered, but lines of input could not be parsed and were skipped"},
        {EXIT_INPUT, "an input file could not be read"},
        {EXIT_KEPT, "nothing was lost, but what was not delivered in time waits in queue_dir; the next run sends it"},
    };
    *count = sizeof exits / sizeof exits[0];
    return exits;
}
