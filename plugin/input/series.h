/* One sample line of an exposition, without its line end: name, labels, value, time, exemplar. */
#ifndef GCW_INPUT_SERIES_H
#define GCW_INPUT_SERIES_H

#include "input/input.h"

#define WHY_BYTES  256
#define HINT_BYTES 16
#define HINTS      32
#define TIME_TEXT  16

/* The label name last seen at a position, with `="` behind it: lines next to each other mostly have the same names in
 * the same order, and what was checked once needs comparing only. mask = 0: none. */
struct name_hint {
    char text[HINT_BYTES];
    unsigned length; /* of the name */
    unsigned mask;   /* one bit a byte of text that counts */
};

/* Zero-initialise, set `format`; free with series_parser_free(). */
struct series_parser {
    enum exposition_format format;
    gcw_label *labels; /* reused from line to line; [0] is the name */
    size_t count, cap;
    struct buf text;   /* unescaped names and values of this line */
    struct buf name;   /* of the last sample */
    bool name_bare;    /* it stood before the braces, without quotes */
    bool name_changed; /* it differs from the one before */
    struct view line;
    const char *readable; /* memory from the line to here may be read: at least its end */
    const char *start;    /* of the sample in the line */
    gcw_exemplar exemplar;
    char why[WHY_BYTES];
    bool nomem;
    /* labels_again(): whether this line's names were all foreseen, and how many the last line's were if so; 0 = not */
    bool foreseen;
    size_t foreseen_last;
    /* The last time read, as text and as number: the samples of a scrape mostly have the same. */
    char time_text[TIME_TEXT];
    size_t time_len; /* 8 to TIME_TEXT; 0 = none */
    int64_t time_ms;
    struct name_hint hints[HINTS];
};

/* One line. False: `why` says what is wrong and at which column (bytes, from 1), or nomem is set.
 * `readable` is set for the line beforehand; `out` was zeroed once. */
bool series_parse(struct series_parser *s, struct view line, struct exposition_sample *out);
void series_parser_free(struct series_parser *s);

/* NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): views of labels are set before they are counted */
static inline bool is_name_label(struct view name) { return name.n == 8 && memcmp(name.p, "__name__", 8) == 0; }

/* Remembers a checked bare name, if `="` follows it and it is short. */
void hint_learn(struct name_hint *h, struct view name, const char *end);
/* Reads the labels from p on (behind '{') as long as they have the names remembered and nothing out of the ordinary;
 * returns where it stopped: at '}' or before a label. The array has room for HINTS of them. */
const char *labels_predict(struct series_parser *s, const char *p);

/* Parts that metadata lines share. Each returns the end of what it read, NULL with `why` filled otherwise. */
const char *name_end(const char *p, const char *end); /* of a metric name in bare letters; p if there is none */
/* A quoted string at p (the opening quote); the text is unescaped. */
const char *quoted_read(struct series_parser *s, const char *p, struct view *text, const char *what);
/* Replaces \\ and \n (and \" if `quotes`), leaves other backslashes alone; returns the length, at most n. */
size_t text_unescape(char *out, const char *p, size_t n, bool quotes);
const char *series_fail(struct series_parser *s, const char *at, const char *fmt, ...) PRINTF_LIKE(3, 4);
const char *series_expected(struct series_parser *s, const char *at, const char *what);

#endif
