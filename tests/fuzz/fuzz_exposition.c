/* Fuzz target: the parser of text expositions takes any bytes, and hands over the same whether they come whole, in
 * pieces, or byte by byte. The first byte chooses the format and the sizes of the pieces. */
#include "../unit/input/transcript.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t piece_fixed(void *size) { return *(size_t *)size; }

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    enum exposition_format format = data[0] & 1 ? EXPOSITION_OPENMETRICS : EXPOSITION_TEXT;
    size_t one = 1, some = 2 + (data[0] >> 1);
    struct view input = view_make((const char *)data + 1, size - 1);
    struct buf whole = transcript_of(format, input, NULL, NULL);
    struct buf pieces = transcript_of(format, input, piece_fixed, &some);
    struct buf bytes = transcript_of(format, input, piece_fixed, &one);
    ENSURE(view_eq(buf_view(&whole), buf_view(&pieces)));
    ENSURE(view_eq(buf_view(&whole), buf_view(&bytes)));
    (void)exposition_detect(input, input);
    buf_free(&whole);
    buf_free(&pieces);
    buf_free(&bytes);
    return 0;
}
