/* A configuration file of any bytes: refused in words, or every option reads back as text that sets the same again. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void reads_back(gcw_config *c)
{
    static char first[256 * KIB], again[256 * KIB];
    gcw_error err;
    const gcw_option *o;
    for (size_t i = 0; (o = gcw_option_at(i)); i++) {
        ENSURE(gcw_config_get(c, o->name, first, sizeof first) == GCW_OK);
        if (strcmp(o->type, "secret") == 0)
            continue;
        ENSURE(gcw_config_set(c, o->name, first, &err) == GCW_OK);
        ENSURE(gcw_config_get(c, o->name, again, sizeof again) == GCW_OK);
        ENSURE(strcmp(first, again) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int fd = -1;
    static char path[64];
    gcw_error err = {0};
    if (fd < 0) {
        fd = memfd_create("gcw.conf", MFD_CLOEXEC);
        ENSURE(fd >= 0 && fchmod(fd, 0600) == 0);
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    }
    ENSURE(ftruncate(fd, 0) == 0 && pwrite(fd, data, size, 0) == (ssize_t)size);
    gcw_config *c = gcw_config_new();
    ENSURE(c);
    if (gcw_config_load_file(c, path, &err) == GCW_OK)
        reads_back(c);
    else
        ENSURE(*err.text);
    err.text[0] = 0;
    if (gcw_config_check(c, &err) != GCW_OK)
        ENSURE(*err.text);
    gcw_config_free(c);
    return 0;
}
