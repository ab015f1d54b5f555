/* Help and man pages, from the tables of commands, options and exit codes. */
#include <ctype.h>
#include <curl/curl.h>
#include <string.h>

#include "cli/cli.h"
#include "config/config.h"

#define WIDTH  92
#define INDENT 28

/* ---- terminal ------------------------------------------------------------------------------------------------------
 */

/* Words of text wrapped at WIDTH; empty lines (two newlines) part paragraphs. */
static void print_wrapped(FILE *out, const char *text, int indent)
{
    int column = indent;
    for (const char *p = text; *p;) {
        if (*p == '\n') {
            fprintf(out, p[1] == '\n' ? "\n\n%*s" : "\n%*s", indent, "");
            column = indent;
            p += p[1] == '\n' ? 2 : 1;
            continue;
        }
        size_t n = strcspn(p, " \n");
        if (column > indent && column + 1 + (int)n > WIDTH) {
            fprintf(out, "\n%*s", indent, "");
            column = indent;
        }
        fprintf(out, "%s%.*s", column > indent ? " " : "", (int)n, p);
        column += (int)n + (column > indent);
        p += n;
        p += *p == ' ';
    }
    fputc('\n', out);
}

static void option_text(char *out, size_t cap, const struct cli_option *o)
{
    char letter[8] = "    ";
    if (o->short_name)
        snprintf(letter, sizeof letter, "-%c, ", o->short_name);
    snprintf(out, cap, "%s--%s%s%s", letter, o->name, o->arg ? "=" : "", o->arg ? o->arg : "");
}

static void print_options(FILE *out, const struct cli_option *rows, size_t count)
{
    const char *group = "";
    for (size_t i = 0; i < count; i++) {
        char name[128];
        if (strcmp(group, rows[i].group) != 0)
            fprintf(out, "\n%s:\n", group = rows[i].group);
        option_text(name, sizeof name, &rows[i]);
        int n = fprintf(out, "  %-*s", INDENT - 4, name);
        if (n > INDENT - 2)
            fprintf(out, "\n%*s", INDENT, "");
        else
            fprintf(out, "%*s", INDENT - n, "");
        print_wrapped(out, rows[i].help, INDENT);
    }
}

static bool has_help_row(const struct cli_option *rows, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(rows[i].name, "help") == 0)
            return true;
    return false;
}

void help_command(FILE *out, const struct cli_command *c)
{
    size_t count;
    const struct cli_option *rows = c->options(&count);
    fprintf(out, "Usage: gcw %s %s\n\n", c->name, c->synopsis);
    print_wrapped(out, c->text, 0);
    print_options(out, rows, count);
    if (!has_help_row(rows, count))
        fprintf(out, "      --help%*sthis text\n", INDENT - 12, "");
    if (c->examples) {
        fprintf(out, "\nExamples:\n");
        for (const char *p = c->examples; *p;) {
            size_t n = strcspn(p, "\n");
            fprintf(out, "  %.*s\n", (int)n, p);
            p += n + (p[n] == '\n');
        }
    }
    if (strncmp(c->name, "push", 4) == 0) {
        size_t exits;
        const struct cli_exit *e = cli_exits(&exits);
        fprintf(out, "\nExit codes:\n");
        for (size_t i = 0; i < exits; i++)
            fprintf(out, "  %d  %s\n", e[i].code, e[i].meaning);
    }
}

void help_overview(FILE *out)
{
    fprintf(out, "gcw: metrics to Prometheus remote write, logs to Loki; Grafana Cloud or self-hosted\n\nUsage:\n");
    for (size_t i = 0; i < cli_command_count; i++)
        fprintf(out, "  gcw %-14s %s\n", cli_commands[i].name, cli_commands[i].summary);
    fprintf(out, "  gcw help COMMAND   its options (also: gcw COMMAND --help)\n"
                 "  gcw help options   every configuration option\n"
                 "  gcw help answers   what each answer of a receiver means\n"
                 "  gcw --version\n");
}

int help_version(void)
{
    printf("gcw %s\n%s, %s\n", gcw_version(), curl_version(), gzip_backend());
    return EXIT_ALL_DELIVERED;
}

/* ---- reference
 * ------------------------------------------------------------------------------------------------------- */

static int print_buf(bool ok, struct buf *b)
{
    if (ok)
        fwrite(b->p, 1, b->n, stdout);
    buf_free(b);
    return ok && fflush(stdout) == 0 ? EXIT_ALL_DELIVERED : EXIT_INPUT;
}

static int options_text(void)
{
    const char *section = "";
    const gcw_option *o;
    for (size_t i = 0; (o = gcw_option_at(i)); i++) {
        if (strcmp(section, o->section) != 0)
            printf("%s%s\n", *section ? "\n" : "", o->section), section = o->section;
        printf("  %s (%s%s%s%s%s)\n      ", o->name, o->type, *o->allowed ? ", " : "", o->allowed,
               *o->default_value ? ", default " : "", o->default_value);
        print_wrapped(stdout, o->help, 6);
    }
    return EXIT_ALL_DELIVERED;
}

int help_reference(int argc, char **argv)
{
    struct buf b = {0};
    const char *which = argc > 1 ? argv[1] : "";
    if (strcmp(argv[0], "options") == 0)
        return strcmp(which, "--markdown") == 0 ? print_buf(config_reference_markdown(&b), &b) : options_text();
    if (strcmp(argv[0], "answers") == 0)
        help_answers(stdout, strcmp(which, "--markdown") == 0);
    else if (strcmp(which, "gcw") == 0)
        help_man_gcw(stdout);
    else if (strcmp(which, "gcw.conf") == 0)
        help_man_conf(stdout);
    else {
        fprintf(stderr, "gcw help man: gcw or gcw.conf\n");
        return EXIT_USAGE;
    }
    return EXIT_ALL_DELIVERED;
}

/* ---- man pages
 * --------------------------------------------------------------------------------------------------------- */

/* Text as roff: backslashes and hyphens escaped, no line may start with a control character. */
static void roff(FILE *out, const char *text)
{
    for (const char *p = text; *p; p++) {
        if (*p == '\\')
            fputs("\\e", out);
        else if (*p == '-')
            fputs("\\-", out);
        else if (*p == '\n')
            fputs(p[1] == '\n' ? "\n.PP\n" : "\n", out), p += p[1] == '\n';
        else if ((*p == '.' || *p == '\'') && (p == text || p[-1] == '\n'))
            fprintf(out, "\\&%c", *p);
        else
            fputc(*p, out);
    }
    fputc('\n', out);
}

static void roff_title(FILE *out, const char *name, const char *section)
{
    char upper[32];
    size_t i = 0;
    for (; name[i] && i + 1 < sizeof upper; i++)
        upper[i] = (char)toupper((unsigned char)name[i]);
    upper[i] = 0;
    fprintf(out, ".TH %s %s \"\" \"gcw %s\" \"Grafana Cloud writer\"\n", upper, section, GCW_VERSION);
}

static void roff_command(FILE *out, const struct cli_command *c)
{
    size_t count;
    const struct cli_option *rows = c->options(&count);
    fprintf(out, ".SS \"gcw %s\"\n", c->name);
    roff(out, c->text);
    const char *group = "";
    for (size_t i = 0; i < count; i++) {
        char name[128];
        if (strcmp(group, rows[i].group) != 0)
            fprintf(out, ".PP\n.I \"%s\"\n", group = rows[i].group);
        option_text(name, sizeof name, &rows[i]);
        fputs(".TP\n.B ", out);
        roff(out, name + strspn(name, " "));
        roff(out, rows[i].help);
    }
    if (c->examples) {
        fputs(".PP\nExamples:\n.PP\n.nf\n", out);
        roff(out, c->examples);
        fputs(".fi\n", out);
    }
}

void help_man_gcw(FILE *out)
{
    size_t exits;
    const struct cli_exit *e = cli_exits(&exits);
    roff_title(out, "gcw", "1");
    fputs(".SH NAME\ngcw \\- deliver metrics by Prometheus remote write and logs by Loki push\n.SH SYNOPSIS\n", out);
    for (size_t i = 0; i < cli_command_count; i++) {
        fputs(i ? ".br\n.B gcw " : ".B gcw ", out);
        fprintf(out, "%s\n", cli_commands[i].name);
        roff(out, cli_commands[i].synopsis);
    }
    fputs(".SH DESCRIPTION\n", out);
    roff(out, "gcw takes metrics and log lines and lands them in Grafana Cloud, Mimir, Prometheus, VictoriaMetrics or "
              "Loki. It batches, "
              "compresses and signs them, and keeps each record until the receiver has answered for it. Options may "
              "come from a "
              "file, from the environment (GCW_METRICS_URL sets metrics_url, and so on) and from the command line; the "
              "later wins.");
    fputs(".SH COMMANDS\n", out);
    for (size_t i = 0; i < cli_command_count; i++)
        roff_command(out, &cli_commands[i]);
    fputs(".SH EXIT STATUS\nOf the push commands:\n", out);
    for (size_t i = 0; i < exits; i++)
        fprintf(out, ".TP\n.B %d\n%s\n", e[i].code, e[i].meaning);
    fputs(".SH ENVIRONMENT\n.TP\n.B GCW_CONFIG\nconfiguration file, if there is no \\-\\-config\n.TP\n.B "
          "GCW_TOKEN\nthe access "
          "policy token\n.TP\n.B GCW_OPTION\nany option of\n.BR gcw.conf (5)\nin capitals\n.SH SEE ALSO\n.BR gcw.conf "
          "(5)\n",
          out);
}

void help_man_conf(FILE *out)
{
    struct buf b = {0};
    roff_title(out, "gcw.conf", "5");
    fputs(".SH NAME\ngcw.conf \\- configuration of the Grafana Cloud writer\n.SH DESCRIPTION\n", out);
    roff(out, "Lines of the form `key = value`. Blanks around key and value do not count; a value in double quotes "
              "keeps its own. "
              "A line that starts with # is a comment. A key may occur once. An unknown key is an error.\n\n"
              "Sizes take B, KiB, MiB and GiB, durations ms, s, m, h and d, switches on and off. A file that holds "
              "`token` must not be "
              "readable by group or others; token_file is the better place.");
    fputs(".SH OPTIONS\n", out);
    if (config_reference_man(&b))
        fwrite(b.p, 1, b.n, out);
    buf_free(&b);
    fputs(".SH EXAMPLE\n.nf\nmetrics_url = https://prometheus\\-prod\\-01.grafana.net/api/prom/push\nmetrics_tenant = "
          "123456\n"
          "logs_url = https://logs\\-prod\\-006.grafana.net/loki/api/v1/push\nlogs_tenant = 654321\n"
          "token_file = /etc/gcw/token\n.fi\n.SH SEE ALSO\n.BR gcw (1)\n",
          out);
}
