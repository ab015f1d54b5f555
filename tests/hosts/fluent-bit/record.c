/* An output module for Fluent Bit that writes each chunk it is handed to the end of a file, byte for byte: how the
 * chunks in tests/fixtures/fluent-bit came about. Loads into every version; `path` names the file. See record.py. */
#include <stdio.h>

#define EXPORT __attribute__((visibility("default")))

/* The host's structs as far as they are the same in all versions. */
struct definition {
    int type, proxy, flags;
    char *name, *description;
};
struct api {
    const char *(*property)(const char *key, void *instance);
};
struct plugin {
    char *name;
    struct api *api;
    void *instance;
    struct {
        void *ours;
    } * context;
};

EXPORT int FLBPluginRegister(struct definition *d);
EXPORT int FLBPluginInit(struct plugin *p);
EXPORT int FLBPluginFlushCtx(void *context, const void *data, size_t size, const char *tag);
EXPORT int FLBPluginExitCtx(void *context);

EXPORT int FLBPluginRegister(struct definition *d)
{
    static char name[] = "gcw_record", description[] = "writes chunks to a file";
    *d = (struct definition){2, 11, 0, name, description};
    return 0;
}

EXPORT int FLBPluginInit(struct plugin *p)
{
    const char *path = p->api->property("path", p->instance);
    p->context->ours = path ? fopen(path, "ab") : NULL;
    return p->context->ours ? 1 : -1;
}

EXPORT int FLBPluginFlushCtx(void *context, const void *data, size_t size, const char *tag)
{
    FILE *f = context;
    (void)tag;
    return fwrite(data, 1, size, f) == size && fflush(f) == 0 ? 1 : 2;
}

EXPORT int FLBPluginExitCtx(void *context)
{
    if (context)
        fclose((FILE *)context);
    return 1;
}
