/* Metadata of metric families on its way in: checked, cut to the receivers' limits, sent when it is new. */
#include "writer/writer.h"

#define FAMILIES_EVERY_MS  UINT64_C(5000)
#define FAMILIES_AT_A_TIME 1200
#define HELP_MAX           1024 /* Mimir's default for metadata; longer help is cut there, longer names are refused */

static struct view cut(gcw_writer *w, struct view text, const char *what, struct view family)
{
    struct view out = view_make(text.p, utf8_cut(text.p, text.n, HELP_MAX));
    if (out.n < text.n) {
        gcw_error note;
        error_set(&note, GCW_OK, "metadata of \"%.*s\": %s cut to %d bytes", VIEW_ARG(family), what, HELP_MAX);
        note_change(w, GCW_METRICS, note.text);
    }
    return out;
}

/* Metadata is a courtesy: what cannot be sent as it is, is left out, and never holds up a sample. */
gcw_status metadata_append(gcw_writer *w, struct destination *d, const gcw_metadata *m, struct view name)
{
    struct view family = m->family ? view_of(m->family) : name, help = view_of(m->help), unit = view_of(m->unit);
    bool known_type = m->type >= GCW_TYPE_UNKNOWN && m->type <= GCW_TYPE_STATESET;
    if (!w->config->metrics_metadata)
        return GCW_OK;
    if (family.n == 0 || family.n > HELP_MAX || !known_type || !utf8_valid(family.p, family.n) ||
        !utf8_valid(help.p, help.n) || !utf8_valid(unit.p, unit.n))
        return GCW_ERR_INVALID;
    if (m->type == GCW_TYPE_UNKNOWN && help.n == 0 && unit.n == 0)
        return GCW_OK;
    help = cut(w, help, "help", family);
    unit = cut(w, unit, "unit", family);
    if (!families_update(w->families, d, m->type, family, help, unit, clock_mono_ms()))
        return GCW_OK;
    gcw_status status = batch_metadata(d, m->type, family, help, unit);
    if (status != GCW_OK)
        families_unsent(w->families, d, family);
    return status;
}

/* What receivers of 1.0 would have forgotten, and changes that came too soon: a few at a time, so that samples find
 * room beside them. */
uint64_t families_run(gcw_writer *w, uint64_t now_ms)
{
    struct family_due due;
    bool wanted = w->config->metrics_metadata && w->home[GCW_METRICS] && !atomic_load(&w->closing) &&
                  atomic_load(&w->protocol) == PROTOCOL_RW1;
    if (now_ms < w->families_ms)
        return w->families_ms;
    w->families_ms = now_ms + MIN(FAMILIES_EVERY_MS, w->config->metrics_metadata_interval_ms / 5);
    for (unsigned n = 0; wanted && n < FAMILIES_AT_A_TIME && families_due(w->families, now_ms, &w->family_text, &due);
         n++) {
        struct destination *d = (struct destination *)(uintptr_t)due.owner;
        if (batch_metadata(d, due.type, due.name, due.help, due.unit) == GCW_OK)
            continue;
        families_unsent(w->families, d, due.name);
        break;
    }
    return w->families_ms;
}
