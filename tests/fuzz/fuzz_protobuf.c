/* Fuzz target: the protobuf exposition takes any bytes, whole or in pieces, with lengths in front or as one message
 * that is given the right one. The first byte chooses that, what becomes of histograms, and the sizes of the pieces. */
#include "../unit/input/expo.h"
#include "../unit/input/transcript.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t piece_fixed(void *size) { return *(size_t *)size; }

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    const struct exposition_options o = {.format = EXPOSITION_PROTOBUF,
                                         .histograms = (enum exposition_histograms)(data[0] % 3)};
    size_t one = 1, some = 2 + (data[0] >> 3);
    struct buf input = {0};
    if (data[0] & 4)
        expo_varint(&input, size - 1);
    ENSURE(buf_append(&input, data + 1, size - 1));
    struct buf whole = transcript_with(&o, buf_view(&input), NULL, NULL);
    struct buf pieces = transcript_with(&o, buf_view(&input), piece_fixed, &some);
    struct buf bytes = transcript_with(&o, buf_view(&input), piece_fixed, &one);
    ENSURE(view_eq(buf_view(&whole), buf_view(&pieces)));
    ENSURE(view_eq(buf_view(&whole), buf_view(&bytes)));
    (void)exposition_detect(buf_view(&input), buf_view(&input));
    buf_free(&input);
    buf_free(&whole);
    buf_free(&pieces);
    buf_free(&bytes);
    return 0;
}
