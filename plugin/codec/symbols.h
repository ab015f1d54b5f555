/* Private to codec/: the texts that remote write 2.0 requests are made of.
 *
 * Each distinct text has a number as long as somebody holds it (an interned series), and a while longer. Which place it
 * has in the symbol table of the request at hand stands in `hot`, under that request's stamp: so a series whose texts
 * are known is written without hashing, and nothing has to be cleared between requests. */
#ifndef GCW_CODEC_SYMBOLS_H
#define GCW_CODEC_SYMBOLS_H

#include "codec/codec.h"

struct symbol_hot {
    uint32_t stamp, ref; /* ref counts with the stamp of the request at hand only */
};

struct symbol {
    char *text; /* NULL = the number is free, `len` is the next free one */
    uint32_t len, hash, holds;
};

struct symbols {
    struct symbol_hot *hot;
    struct symbol *cold;
    uint32_t count, cap;   /* numbers given out so far; 0 is "" */
    uint32_t free, live;   /* first free number (0 = none); texts alive */
    uint32_t *slot, slots; /* hash table of numbers, 0 = empty; a power of two */
    uint64_t text_bytes;
    uint32_t idle; /* alive though held by nobody */
};

bool symbols_init(struct symbols *s);
void symbols_free(struct symbols *s);
/* The number of a text that is not empty; 0 = out of memory. */
uint32_t symbols_find(struct symbols *s, struct view text);
void symbols_hold(struct symbols *s, uint32_t id);
void symbols_release(struct symbols *s, uint32_t id);
/* Forgets what nobody holds and the request with this stamp does not use. */
void symbols_sweep(struct symbols *s, uint32_t stamp);
uint64_t symbols_memory(const struct symbols *s);

#endif
