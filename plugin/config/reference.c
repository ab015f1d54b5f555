/* The reference of options, from the table: Markdown and roff. */
#include "config/table.h"

static bool markdown_text(struct buf *out, const char *text)
{
    bool ok = true;
    for (; *text && ok; text++)
        ok = (*text != '|' && *text != '<' && *text != '>' && *text != '*' && *text != '_' ? true
                                                                                           : buf_puts(out, "\\")) &&
             buf_append(out, text, 1);
    return ok;
}

static bool markdown_row(struct buf *out, const gcw_option *o)
{
    return buf_printf(out, "| `%s` | %s | %s%s%s | ", o->name, o->type, *o->default_value ? "`" : "", o->default_value,
                      *o->default_value ? "`" : "") &&
           markdown_text(out, o->allowed) && buf_puts(out, " | ") && markdown_text(out, o->help) &&
           buf_puts(out, " |\n");
}

bool config_reference_markdown(struct buf *out)
{
    bool ok = buf_puts(
        out, "# Options\n\nMade from the option table by `make docs`; do not edit. Each may be set in a file "
             "(gcw.conf(5)), in the\nenvironment (`GCW_` and the name in capitals), by `gcw push --set`, and by "
             "`gcw_config_set()`.\n");
    const char *section = "";
    for (size_t i = 0; i < option_row_count && ok; i++) {
        const gcw_option *o = &option_rows[i].shown;
        if (strcmp(section, o->section) != 0)
            ok = buf_printf(
                out, "\n## %s\n\n| option | type | default | allowed | meaning |\n| --- | --- | --- | --- | --- |\n",
                section = o->section);
        ok = ok && markdown_row(out, o);
    }
    return ok;
}

static bool roff_text(struct buf *out, const char *text)
{
    bool ok = *text == '.' || *text == '\'' ? buf_puts(out, "\\&") : true;
    for (; *text && ok; text++)
        ok = *text == '\\' ? buf_puts(out, "\\e") : *text == '-' ? buf_puts(out, "\\-") : buf_append(out, text, 1);
    return ok;
}

bool config_reference_man(struct buf *out)
{
    bool ok = true;
    const char *section = "";
    for (size_t i = 0; i < option_row_count && ok; i++) {
        const gcw_option *o = &option_rows[i].shown;
        if (strcmp(section, o->section) != 0)
            ok = buf_printf(out, ".SS %s\n", section = o->section);
        ok = ok && buf_printf(out, ".TP\n.B %s\n(%s", o->name, o->type) &&
             (!*o->allowed || (buf_puts(out, "; ") && roff_text(out, o->allowed))) &&
             (!*o->default_value || (buf_puts(out, "; default ") && roff_text(out, o->default_value))) &&
             buf_puts(out, ")\n") && roff_text(out, o->help) && buf_puts(out, "\n");
    }
    return ok;
}
