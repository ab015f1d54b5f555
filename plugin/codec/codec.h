/* codec/: model <-> bytes. Remote write 1.0 and 2.0, Loki JSON and protobuf, snappy and gzip, and the sealed request
 * they end in. */
#ifndef GCW_CODEC_H
#define GCW_CODEC_H

#include "model/model.h"

/* ---- sealed request -------------------------------------------------------------------------------------------
 * The one type both halves share: an immutable, already compressed body with what the back half needs to know. Made by
 * batch/, owned by the queue, freed by the writer when its last record has ended. */

/* These numbers are in queue files: new ones go behind. */
enum protocol { PROTOCOL_RW1 = 0, PROTOCOL_LOKI_JSON = 1, PROTOCOL_RW2 = 2, PROTOCOL_LOKI_PROTO = 3, PROTOCOLS };
enum encoding { ENCODING_NONE, ENCODING_SNAPPY, ENCODING_GZIP, ENCODINGS };

const char *protocol_content_type(enum protocol p);
const char *protocol_version(enum protocol p); /* of remote write, as its header has it; NULL for others */
const char *encoding_name(enum encoding e);    /* Content-Encoding; NULL for none */

struct receipt_share {
    struct gcw_receipt *receipt;
    uint64_t records;
};

struct sealed {
    struct sealed *next, *prev; /* the queue's, as is where it lies on disk; segment 0 = nowhere */
    uint64_t disk_segment, disk_at, disk_size;
    bool disk_synced;
    uint64_t batch_seq; /* ascending within a route, from 1; 0 = written by an earlier writer */
    uint32_t route;     /* index of (signal, tenant, lane); the names are in the next ones */
    uint16_t lane, lanes;
    gcw_signal signal;
    enum protocol protocol;
    enum encoding encoding;
    const char *tenant;             /* "" = none; outlives the request */
    uint32_t records;               /* samples or entries */
    uint32_t metadata;              /* metric families described */
    uint32_t exemplars, histograms; /* that came with its records; native histograms among them */
    uint32_t exemplars_unsaid;      /* left out when it was made; in memory only */
    int64_t first_time;             /* oldest and newest record time, in the signal's unit */
    int64_t last_time;
    int64_t sealed_unix_ms;
    uint64_t sealed_mono_ms;
    uint64_t charge; /* bytes it holds of the memory budget */
    struct receipt_share *shares;
    uint32_t share_count;
    uint32_t raw_len; /* body before compression */
    uint32_t len;
    uint8_t body[];
};

/* A sealed request with a copy of the body; all other fields zero. NULL when out of memory. */
struct sealed *sealed_new(const void *body, size_t len);
struct sealed *sealed_blank(size_t len); /* with room for a body of len */
void sealed_free(struct sealed *s);      /* with its shares array */

/* A part of a request as a request of its own, in the same or an older protocol. */
struct part {
    uint32_t from, count; /* records of the request: [from, from + count). It may come to be fewer, of the first ones */
    enum protocol protocol;
    bool no_histograms, no_exemplars; /* not to be said in remote write 1.0, though it could be */
    uint32_t unsaid; /* of `count`: histograms that the older protocol has no words for. If that is all, there is no
                        request */
    uint32_t exemplars_unsaid;
    bool broken; /* the body is not what this library writes */
};
/* In the order they are in it; metadata of its own goes with the first. The same arguments give the same bytes. NULL:
 * nothing to be said, broken, or else out of memory. No receipt shares; `charge` is its size. */
struct sealed *sealed_part(const struct sealed *s, struct part *part);
/* At the most, while it is made, for a request of so many bytes before compression. */
uint64_t part_memory(enum protocol from, uint64_t raw_len);

/* ---- points: samples and native histograms with what belongs to them --------------------------------------------- */

struct exemplar {
    uint64_t value_bits;
    int64_t time_ms;
    struct view block; /* its labels, as a label block */
};

struct point {
    uint64_t value_bits; /* of a sample */
    int64_t time_ms, start_ms;
    struct view histogram; /* what histogram_put() wrote; empty = a sample */
    struct view bounds;    /* what histogram_bounds_put() wrote */
    struct view exemplars; /* packed */
};

/* NULL, or what is wrong. */
const char *histogram_check(const gcw_histogram *h);
bool histogram_put(struct buf *out, const gcw_histogram *h); /* all but times and custom bounds; checked before */
bool histogram_bounds_put(struct buf *out, const gcw_histogram *h);
bool exemplar_pack(struct buf *out, const struct exemplar *e);
bool exemplar_next(struct view *packed, struct exemplar *e); /* false at the end */
uint32_t exemplars_count(struct view packed);

/* ---- remote write 1.0 (Remote-Write 1.0 specification; numbers in proto/remote1.proto) --------------------------- */

/* Bytes one TimeSeries with one sample takes in a WriteRequest. */
size_t rw1_sample_size(size_t block_len, uint64_t value_bits, int64_t time_ms);
/* Appends it; the buffer must have room for rw1_sample_size(). A value whose bits are all zero is left out (proto3);
 * -0.0 is not zero here. */
void rw1_sample_put(struct buf *out, struct view block, uint64_t value_bits, int64_t time_ms);
/* An entry with a sample or a histogram without custom bounds, and its exemplars; false = out of memory. */
bool rw1_point_put(struct buf *out, struct view block, const struct point *p);
size_t rw1_metadata_size(gcw_metric_type type, struct view family, struct view help, struct view unit);
void rw1_metadata_put(struct buf *out, gcw_metric_type type, struct view family, struct view help, struct view unit);

/* ---- remote write 2.0 (Remote-Write 2.0 specification, 2.0-rc.4; numbers in proto/remote2.proto) ------------------
 * A request is begun, gets series and samples in turns, and is ended. One per thread; it knows the texts of every label
 * set it has met, until it is told to forget that. False = out of memory: begin again. */

struct rw2;
struct rw2 *rw2_new(void);
void rw2_free(struct rw2 *e);
uint64_t rw2_memory(const struct rw2 *e);
/* `families` (may be NULL) and the owner they are known by there describe the series. */
bool rw2_begin(struct rw2 *e, struct families *families, const void *owner);
bool rw2_series(struct rw2 *e, struct interned *i); /* of a table with intern_table_symbols() */
bool rw2_series_block(struct rw2 *e, struct view block);
bool rw2_sample(struct rw2 *e, uint64_t value_bits, int64_t time_ms);
bool rw2_point(struct rw2 *e, const struct point *p);
/* The whole into out; *families gets how many were described for the first time. */
bool rw2_end(struct rw2 *e, struct buf *out, uint32_t *families);
void rw2_forget(struct rw2 *e, struct interned *i); /* before it is destroyed */

/* ---- Loki JSON (POST /loki/api/v1/push) ----------------------------------------------------------------------------
 */

/* Appends text escaped for a JSON string, without the quotes: '"' and '\' with a backslash, control characters as
 * \n \r \t or \u00XX, each invalid UTF-8 run as U+FFFD, all else as it is. False when out of memory. */
bool json_escape(struct buf *out, const char *p, size_t n);
bool loki_json_begin(struct buf *out);                     /* {"streams":[ */
bool loki_json_stream(struct buf *out, struct view block); /* {"stream":{...},"values":[ */
/* ["<ns>","<line>"] or ["<ns>","<line>",{...}]; metadata is a label block. */
bool loki_json_entry(struct buf *out, int64_t time_ns, struct view line, struct view metadata);
bool loki_json_stream_end(struct buf *out); /* ]} */
bool loki_json_end(struct buf *out);        /* ]} */
/* Commas are the caller's: buf_puts(out, ","). */

/* ---- Loki protobuf (the same, application/x-protobuf in snappy; numbers in proto/logproto.proto) --------------------
 */

/* A stream with its labels; *at is for its end. */
bool loki_proto_stream(struct buf *out, struct view block, size_t *at);
/* Line bytes that are not UTF-8 become U+FFFD, as in JSON; metadata is a label block. */
bool loki_proto_entry(struct buf *out, int64_t time_ns, struct view line, struct view metadata);
bool loki_proto_stream_end(struct buf *out, size_t at);

/* ---- compression ------------------------------------------------------------------------------------------------ */

/* Snappy block format into out (replaces its content). */
bool snappy_pack(struct buf *out, const struct buf *in);
/* The other way; false when it is not snappy, or not `want` bytes. */
bool snappy_unpack_exact(struct buf *out, struct view in, size_t want);

/* gzip by libdeflate where the build has it, else zlib. One per thread. */
struct gzip;
struct gzip *gzip_new(int level); /* 1..9 (zlib's meaning) */
void gzip_free(struct gzip *g);
bool gzip_pack(struct gzip *g, struct buf *out, const struct buf *in);
const char *gzip_backend(void); /* "libdeflate 1.14" or "zlib 1.2.13" */

#endif
