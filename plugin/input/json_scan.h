/* JSON text (RFC 8259) read where it stands: values are views of the text, decoded only when asked for. So numbers keep
 * their digits, and a line costs no allocation. */
#ifndef GCW_INPUT_JSON_SCAN_H
#define GCW_INPUT_JSON_SCAN_H

#include "base/base.h"

#define JSON_DEPTH_MAX 2048

enum json_kind { KIND_NULL, KIND_BOOLEAN, KIND_NUMBER, KIND_STRING, KIND_ARRAY, KIND_OBJECT };

struct json_value {
    enum json_kind kind;
    bool escaped;    /* a string with a backslash */
    struct view raw; /* the text; of a string what is between the quotes */
};

struct json_member {
    struct json_value key, value;
};

/* A position in the text. The first complaint stays: `why` and the position it is about. */
struct json_scan {
    const char *start, *p, *end;
    const char *why;
};

struct json_scan json_scan_of(struct view text);

/* Each moves p behind what it read; false with `why` set. Values are checked through and through. */
bool json_value_read(struct json_scan *s, struct json_value *out);
bool json_object_enter(struct json_scan *s);                                   /* over '{' */
bool json_member_read(struct json_scan *s, bool first, struct json_member *m); /* false without `why`: '}' was read */
bool json_text_end(struct json_scan *s);                                       /* nothing but white space is left */

/* The characters of a string, or the value's text without white space between its tokens. At most raw.n bytes at out;
 * returns the number. The value must come from json_value_read(). */
size_t json_text_copy(const struct json_value *v, char *out);
bool json_text_needs_copy(const struct json_value *v); /* false: v->raw is that text */

#endif
