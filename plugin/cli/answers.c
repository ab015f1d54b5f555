/* `gcw help answers`: what each answer of a receiver means, from the table that decides it. */
#include "cli/cli.h"
#include "deliver/deliver.h"

static void signals_text(char *out, size_t cap, unsigned signals)
{
    bool metrics = signals & (1u << GCW_METRICS), logs = signals & (1u << GCW_LOGS);
    snprintf(out, cap, "%s%s%s", metrics ? "metrics" : "", metrics && logs ? ", " : "", logs ? "logs" : "");
}

/* What the row asks of remote write 2.0, behind the status. */
static const char *const spoken_text[] = {
    [SPOKEN_ANY] = "",
    [SPOKEN_1] = " to 1.0",
    [SPOKEN_2] = " to 2.0",
    [SPOKEN_2_COUNTED] = " to 2.0, with counts",
    [SPOKEN_2_SILENT] = " to 2.0, without counts",
    [SPOKEN_2_UNPROVEN] = " to 2.0, without counts as yet",
};

static void status_text(char *out, size_t cap, const struct answer_row *r)
{
    static const char *const ends[] = {
        [END_NOT_SENT] = "not sent", [END_AMBIGUOUS] = "no answer", [END_REFUSED] = "refused here"};
    if (r->end != END_ANSWERED)
        snprintf(out, cap, "%s", ends[r->end]);
    else if (r->status_min == r->status_max)
        snprintf(out, cap, "%d%s", r->status_min, spoken_text[r->spoken]);
    else
        snprintf(out, cap, "%d..%d%s", r->status_min, r->status_max, spoken_text[r->spoken]);
}

void help_answers(FILE *out, bool markdown)
{
    size_t count;
    const struct answer_row *rows = answer_rows(&count);
    fputs(markdown
              ? "# What answers mean\n\nMade from the table in `plugin/deliver/answers.c` by `make docs`; do not edit. "
                "The first "
                "row that matches decides.\n\n| signal | status | body holds | what happens | meaning | known from |\n"
                "| --- | --- | --- | --- | --- | --- |\n"
              : "",
          out);
    for (size_t i = 0; i < count; i++) {
        char signals[32], status[64];
        const struct answer_row *r = &rows[i];
        signals_text(signals, sizeof signals, r->signals);
        status_text(status, sizeof status, r);
        if (markdown)
            fprintf(out, "| %s | %s | %s | %s | %s | %s |\n", signals, status, r->body ? r->body : "",
                    action_name(r->action), r->reason, r->source);
        else
            fprintf(out, "%-13s %-12s %-9s %s%s%s%s\n", signals, status, action_name(r->action), r->reason,
                    r->body ? " (body: " : "", r->body ? r->body : "", r->body ? ")" : "");
    }
}
