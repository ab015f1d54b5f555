/* base/: the ground floor. Byte ranges, growing buffers, UTF-8, hash, clocks, the memory budget, logging.
 * Knows no telemetry; of gcw.h it uses the vocabulary of errors only. */
#ifndef GCW_BASE_H
#define GCW_BASE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "include/gcw.h"

#define ARRAY_LEN(a)           (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b)              ((a) < (b) ? (a) : (b))
#define MAX(a, b)              ((a) > (b) ? (a) : (b))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
#define KIB                    ((size_t)1024)
#define MIB                    (KIB * 1024)

/* Holds if our own code is right; never for input, files, answers or the host. On in release too. */
#define ENSURE(cond) ((cond) ? (void)0 : ensure_failed(#cond, __FILE__, __LINE__))
_Noreturn void ensure_failed(const char *what, const char *file, int line);

/* ---- view: a byte range somebody else owns; may be empty, need not be terminated --------------------------- */

struct view {
    const char *p;
    size_t n;
};

static inline struct view view_of(const char *s) { return (struct view){s, s ? strlen(s) : 0}; }
static inline struct view view_make(const char *p, size_t n) { return (struct view){p, n}; }
static inline bool view_eq(struct view a, struct view b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}
static inline bool view_is(struct view a, const char *s) { return view_eq(a, view_of(s)); }
int view_cmp(struct view a, struct view b); /* bytewise; a prefix sorts first */
bool view_starts(struct view a, const char *prefix);
struct view view_trim(struct view a); /* without leading and trailing blanks, CR, LF */
/* Takes the next line off the text, without its LF; false at the end. A mark of byte order before the first is none of
 * it: view_without_bom(). */
bool view_line(struct view *text, struct view *line);
struct view view_without_bom(struct view a);
/* `%.*s` arguments, cut to 200 bytes for messages */
#define VIEW_ARG(v) (int)MIN((v).n, (size_t)200), (v).p ? (v).p : ""

/* ---- buf: bytes that grow. Zero-initialise; free with buf_free. A failed append leaves it as it was. ------- */

struct buf {
    uint8_t *p;
    size_t n, cap;
};

bool buf_grow(struct buf *b, size_t more); /* room for `more` bytes behind n; false = out of memory */
void buf_free(struct buf *b);
bool buf_append(struct buf *b, const void *p, size_t n);
bool buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
bool buf_cstr(struct buf *b); /* a NUL behind the content, not counted in n */
static inline bool buf_reserve(struct buf *b, size_t more) { return b->cap - b->n >= more || buf_grow(b, more); }
static inline bool buf_puts(struct buf *b, const char *s) { return buf_append(b, s, strlen(s)); }
static inline struct view buf_view(const struct buf *b) { return (struct view){(const char *)b->p, b->n}; }

/* ---- errors: words for a person ---------------------------------------------------------------------------- */

/* Fills err (may be NULL) and returns `code`, so that a failing function ends `return error_set(err, CODE, "...")`. */
gcw_status error_set(gcw_error *err, gcw_status code, const char *fmt, ...) PRINTF_LIKE(3, 4);

const char *errno_text(int code); /* what errno means; static text */

/* ---- text -------------------------------------------------------------------------------------------------- */

size_t utf8_ascii_prefix(const char *p, size_t n); /* bytes before the first one >= 0x80 */
bool utf8_valid(const char *p, size_t n);          /* RFC 3629: no surrogates, no overlong forms */
/* Length 1..4 of the valid sequence at p, 0 if none starts there. */
size_t utf8_sequence(const char *p, size_t n);
/* Length of the invalid run at p that becomes one U+FFFD (maximal subpart, Unicode 3.9, as Go and the WHATWG do). */
size_t utf8_invalid_run(const char *p, size_t n);
/* The text with each invalid run replaced by U+FFFD: its length, and writing it; returns the length. */
#define UTF8_REPLACEMENT "\xef\xbf\xbd"
bool utf8_has_replacement(const char *p, size_t n);
size_t utf8_mended_size(const char *p, size_t n);
size_t utf8_mend(char *out, const char *p, size_t n);
size_t utf8_cut(const char *p, size_t n, size_t max); /* largest length <= max that splits no character */
/* Copies text for a message: control characters become blanks, invalid UTF-8 '?', cut to cap-1 bytes; terminated. */
void text_clean(char *out, size_t cap, const char *p, size_t n);
/* Writes v in decimal at out (at most 20 bytes, no NUL) and returns the length. */
size_t text_u64(char *out, uint64_t v);
size_t text_i64(char *out, int64_t v);
/* Parses a whole view; false on anything else than digits (with sign for i64) or on overflow. */
bool parse_u64(struct view v, uint64_t *out);
bool parse_i64(struct view v, int64_t *out);
bool parse_bool(struct view v, bool *out);               /* on, true, yes, 1; off, false, no, 0 */
bool parse_size(struct view v, uint64_t *bytes);         /* 1024, 64KiB, 64k, 1MiB, 2GiB: powers of 1024 */
bool parse_duration(struct view v, uint64_t *ms);        /* 500ms, 5s, 1.5s, 2m, 1h, 1d, 7d; a bare 0 */
void format_size(char *out, size_t cap, uint64_t bytes); /* shortest exact form parse_size reads: "1MiB" */
void format_duration(char *out, size_t cap, uint64_t ms);
/* How many characters differ (Levenshtein), over at most 64 bytes of each: for "the nearest known one is". */
size_t text_distance(struct view a, struct view b);

/* ---- hash -------------------------------------------------------------------------------------------------- */

uint64_t hash_bytes(const void *p, size_t n, uint64_t seed); /* 64 bits, well mixed; the same in every run */
uint32_t random_u32(void);                                   /* jitter and seeds, not secrets */

/* ---- clock ------------------------------------------------------------------------------------------------- */

uint64_t clock_mono_ms(void); /* every timer */
uint64_t clock_mono_us(void); /* how long something took */
int64_t clock_unix_ms(void);  /* data only */
int64_t clock_unix_ns(void);
/* Remaining ms of a deadline given as timeout (negative = none). */
uint64_t deadline_after(int timeout_ms); /* monotonic ms; UINT64_MAX = never */
struct timespec;
void deadline_timespec(uint64_t deadline_ms, struct timespec *ts); /* for condition variables on CLOCK_MONOTONIC */

/* ---- budget: bytes of memory, shared by all threads of a writer -------------------------------------------- */

struct budget {
    _Atomic uint64_t used;
    uint64_t limit;
};
/* Takes n bytes if used + n <= limit - headroom. */
bool budget_take(struct budget *b, uint64_t n, uint64_t headroom);
void budget_give(struct budget *b, uint64_t n);

/* ---- log --------------------------------------------------------------------------------------------------- */

/* One line at a time to the host's callback or standard error. Lines are cut at 1 KiB, cleaned of control characters;
 * callers pass no secrets. Any thread. */
struct logger {
    gcw_log_level level;
    void (*sink)(void *user, gcw_log_level level, const char *text);
    void *user;
};
void log_line(const struct logger *log, gcw_log_level level, const char *fmt, ...) PRINTF_LIKE(3, 4);

#include "base/disk.h"
#include "base/latch.h"
#include "base/plant.h"

#endif
