/* The compressor alone: the bodies that gcw pushed, compressed again by the same library at the same level.
 *
 *     bench_compress gzip|snappy|libsnappy FILE [--level N] [--rounds N]
 *
 * FILE holds bodies, each behind its length (8 bytes, little endian): uncompressed ones for gzip, compressed ones for
 * snappy, which are unpacked first, outside the measurement. snappy is ours, libsnappy the library beside it. */
#include <snappy-c.h>
#include <stdlib.h>
#include <string.h>

#include "codec/codec.h"
#include "common.h"

#define ROUNDS_MAX 32

struct compressor {
    bool is_snappy, is_library;
    struct gzip *gzip;
    struct buf file, raw, packed;
    uint64_t bodies, bytes_raw, bytes_packed;
};

/* The next body into c->raw; false at the end. */
static bool body_read(struct compressor *c, FILE *f)
{
    uint8_t head[8];
    uint64_t n = 0;
    if (fread(head, 1, sizeof head, f) != sizeof head)
        return false;
    for (int i = 7; i >= 0; i--)
        n = n << 8 | head[i];
    struct buf *to = c->is_snappy ? &c->file : &c->raw;
    to->n = 0;
    if (!buf_reserve(to, n) || fread(to->p, 1, n, f) != n)
        die("a body is cut short");
    to->n = n;
    if (!c->is_snappy)
        return true;
    size_t raw;
    c->raw.n = 0;
    if (snappy_uncompressed_length((const char *)to->p, to->n, &raw) != SNAPPY_OK || !buf_reserve(&c->raw, raw) ||
        snappy_uncompress((const char *)to->p, to->n, (char *)c->raw.p, &raw) != SNAPPY_OK)
        die("a body is not snappy");
    c->raw.n = raw;
    return true;
}

static bool library_pack(struct compressor *c)
{
    size_t n = snappy_max_compressed_length(c->raw.n);
    c->packed.n = 0;
    if (!buf_reserve(&c->packed, n))
        return false;
    bool ok = snappy_compress((const char *)c->raw.p, c->raw.n, (char *)c->packed.p, &n) == SNAPPY_OK;
    c->packed.n = n;
    return ok;
}

/* CPU seconds of compressing every body once. */
static double round_of(struct compressor *c, const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        die("%s cannot be read", path);
    uint64_t spent = 0;
    c->bodies = c->bytes_raw = c->bytes_packed = 0;
    while (body_read(c, f)) {
        uint64_t start = process_ns();
        bool ok = c->is_library  ? library_pack(c)
                  : c->is_snappy ? snappy_pack(&c->packed, &c->raw)
                                 : gzip_pack(c->gzip, &c->packed, &c->raw);
        spent += process_ns() - start;
        if (!ok)
            die("a body cannot be compressed");
        c->bodies++;
        c->bytes_raw += c->raw.n;
        c->bytes_packed += c->packed.n;
    }
    fclose(f);
    return (double)spent / 1e9;
}

int main(int argc, char **argv)
{
    bool library = argc > 1 && strcmp(argv[1], "libsnappy") == 0, ours = argc > 1 && strcmp(argv[1], "snappy") == 0;
    if (argc < 3 || !(library || ours || strcmp(argv[1], "gzip") == 0))
        die("bench_compress gzip|snappy|libsnappy FILE [--level N] [--rounds N]");
    uint64_t rounds = arg_number(argc, argv, "--rounds", 1);
    int level = (int)arg_number(argc, argv, "--level", option_default("compression_level"));
    struct compressor c = {.is_snappy = ours || library, .is_library = library};
    double cpu[ROUNDS_MAX];
    if (rounds > ROUNDS_MAX || (!c.is_snappy && !(c.gzip = gzip_new(level))))
        die("--rounds up to %d, --level 1 to 9", ROUNDS_MAX);
    for (uint64_t i = 0; i < rounds; i++)
        cpu[i] = round_of(&c, argv[2]);
    printf("{\"by\":\"%s\",\"level\":%d,\"bodies\":%llu,\"bytes_raw\":%llu,\"bytes_packed\":%llu,",
           library ? "libsnappy"
           : ours  ? "snappy"
                   : gzip_backend(),
           c.is_snappy ? 0 : level, (unsigned long long)c.bodies, (unsigned long long)c.bytes_raw,
           (unsigned long long)c.bytes_packed);
    json_array("cpu_s", cpu, rounds);
    printf(",\"least_cpu_s\":%.6f}\n", least(cpu, rounds));
    gzip_free(c.gzip);
    buf_free(&c.file);
    buf_free(&c.raw);
    buf_free(&c.packed);
    return 0;
}
