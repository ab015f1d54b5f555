/* See flb_host.h. */
#include "flb_host.h"

#include <alloca.h>
#include <dlfcn.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

const struct flb_sizes flb_1_9 = {32, 8, false}, flb_2_0 = {32, 56, false}, flb_4_2 = {40, 72, true},
                       flb_5_1 = {48, 72, true};

/* ---- what the program exports -------------------------------------------------------------------------------------
 */

#define EXPORT __attribute__((visibility("default")))
#define TRAP(name)                                                                                                     \
    EXPORT void name(void);                                                                                            \
    void name(void) { trap(#name); }

static _Noreturn void trap(const char *name)
{
    fprintf(stderr, "the module is bound to this program's %s\n", name);
    abort();
}

/* The host's own libraries, some of other versions and meanings. */
TRAP(snappy_compress)
TRAP(snappy_max_compressed_length)
TRAP(libdeflate_gzip_compress)
TRAP(libdeflate_alloc_compressor)
TRAP(nghttp2_session_callbacks_new)
TRAP(nghttp2_option_new)
TRAP(ZSTD_createDStream)
TRAP(protobuf_c_message_pack)
TRAP(create_label)

/* ---- memory whose end is known ------------------------------------------------------------------------------------
 */

#define GUARD      64
#define GUARD_BYTE 0x5a
#define BLOCKS     64

static struct {
    pthread_mutex_t lock;
    struct {
        uint8_t *p;
        size_t n;
    } at[BLOCKS];
} blocks = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* Behind what the version allocates nothing may change. A sanitizer's allocator knows the end by itself. */
static void *block_new(size_t n, bool zeroed)
{
    uint8_t *p = malloc(n + (SANITIZED ? 0 : GUARD));
    ENSURE(p);
    memset(p, zeroed ? 0 : 0xa5, n);
    if (!SANITIZED)
        memset(p + n, GUARD_BYTE, GUARD);
    pthread_mutex_lock(&blocks.lock);
    size_t i = 0;
    while (i < BLOCKS && blocks.at[i].p)
        i++;
    ENSURE(i < BLOCKS);
    blocks.at[i].p = p;
    blocks.at[i].n = n;
    pthread_mutex_unlock(&blocks.lock);
    return p;
}

static void block_free(void *block)
{
    uint8_t *p = block;
    pthread_mutex_lock(&blocks.lock);
    size_t i = 0;
    while (i < BLOCKS && blocks.at[i].p != p)
        i++;
    ENSURE(i < BLOCKS);
    for (size_t k = 0; k < GUARD && !SANITIZED; k++)
        ENSURE(p[blocks.at[i].n + k] == GUARD_BYTE);
    blocks.at[i].p = NULL;
    pthread_mutex_unlock(&blocks.lock);
    free(p);
}

#if !SANITIZED
/* A host with an allocator of its own exports this too; it says where the block ends that the host asked for. */
EXPORT size_t malloc_usable_size(void *p);
size_t malloc_usable_size(void *p)
{
    size_t n = 0;
    pthread_mutex_lock(&blocks.lock);
    for (size_t i = 0; i < BLOCKS; i++)
        if (p && blocks.at[i].p == p)
            n = blocks.at[i].n;
    pthread_mutex_unlock(&blocks.lock);
    ENSURE(n > 0); /* the module asks for nothing else */
    return n;
}
#endif

/* ---- the host's functions ------------------------------------------------------------------------------------------
 */

static const char *get_property(const char *key, void *output)
{
    const struct flb_output *o = output;
    for (const char *const *p = o->properties; p && *p; p += 2)
        if (strcmp(p[0], key) == 0)
            return *p[1] ? p[1] : NULL;
    return NULL;
}

static _Thread_local struct flb_output *logging; /* log_print is not told which */

static int log_check(void *output, int level)
{
    logging = output;
    return level <= 3;
}

/* Takes as much stack as the real one does at its worst. */
__attribute__((format(printf, 4, 5))) static void log_print(int level, const char *file, int line, const char *fmt, ...)
{
    char text[2048];
    volatile char *deep = alloca(SANITIZED ? 1 : 7000);
    va_list args;
    ENSURE(!file && line == 0);
    deep[0] = 1;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    struct flb_output *o = logging;
    size_t n = strlen(text) + 4;
    pthread_mutex_lock(&o->lock);
    o->log = realloc(o->log, o->log_len + n + 1);
    ENSURE(o->log);
    snprintf(o->log + o->log_len, n + 1, "%d %s\n", level, text);
    o->log_len += n - 1;
    pthread_mutex_unlock(&o->lock);
}

bool flb_logged(struct flb_output *o, const char *text)
{
    pthread_mutex_lock(&o->lock);
    bool found = o->log && strstr(o->log, text);
    pthread_mutex_unlock(&o->lock);
    return found;
}

/* ---- loading -------------------------------------------------------------------------------------------------------
 */

/* Beside the tests of the same build. */
static void module_path(char *out, size_t cap)
{
    ssize_t n = readlink("/proc/self/exe", out, cap - 1);
    ENSURE(n > 0);
    out[n] = 0;
    for (int up = 0; up < 3; up++) {
        char *slash = strrchr(out, '/');
        ENSURE(slash);
        *slash = 0;
    }
    n = (ssize_t)strlen(out);
    snprintf(out + n, cap - (size_t)n, "/out_grafana_cloud.so");
}

static void *symbol(const struct flb *h, const char *name)
{
    void *p = dlsym(h->library, name);
    if (!p)
        fail_msg("%s", dlerror());
    return p;
}

static void *registered(struct flb *h, int reload)
{
    void *def = block_new(h->sizes->def, h->sizes->zeroed);
    assert_int_equal(h->pre_register(reload), 0);
    *(int *)def = 0;
    assert_int_not_equal(h->register_(def), -1);
    struct flb_proxy_def old; /* what every version has */
    memcpy(&old, def, offsetof(struct flb_proxy_def, event_type));
    assert_int_equal(old.type, 2);
    assert_int_equal(old.proxy, 11);
    assert_int_equal(old.flags, 0);
    assert_string_equal(old.name, "grafana_cloud");
    assert_true(strlen(old.description) > 0);
    return def;
}

void flb_start(struct flb *h, const struct flb_sizes *sizes)
{
    char path[4096];
    struct flb_api all = {.output_get_property = get_property, .log_print = log_print, .output_log_check = log_check};
    module_path(path, sizeof path);
    *h = (struct flb){.sizes = sizes, .library = dlopen(path, RTLD_LAZY)};
    if (!h->library)
        fail_msg("%s", dlerror());
    const struct {
        void **to;
        const char *name;
    } entries[] = {
        {(void **)&h->pre_register, "FLBPluginPreRegister"},
        {(void **)&h->register_, "FLBPluginRegister"},
        {(void **)&h->init, "FLBPluginInit"},
        {(void **)&h->flush, "FLBPluginFlushCtx"},
        {(void **)&h->pre_run, "FLBPluginOutputPreRun"},
        {(void **)&h->pre_exit, "FLBPluginOutputPreExit"},
        {(void **)&h->exit, "FLBPluginExitCtx"},
        {(void **)&h->unregister, "FLBPluginUnregister"},
    };
    for (size_t i = 0; i < ARRAY_LEN(entries); i++)
        *entries[i].to = symbol(h, entries[i].name);
    h->def = registered(h, 0);
    h->api = block_new(sizes->api, false);
    memcpy(h->api, &all, MIN(sizes->api, sizeof all));
}

void *flb_register_again(struct flb *h)
{
    void *old = h->def;
    h->def = registered(h, 1);
    return old;
}

void flb_unregister(struct flb *h, void *def)
{
    h->unregister(def);
    block_free(def);
}

void flb_stop(struct flb *h)
{
    flb_unregister(h, h->def);
    block_free(h->api);
    dlclose(h->library);
}

int flb_event_type(const struct flb *h)
{
    int type = -1;
    if (h->sizes->def > offsetof(struct flb_proxy_def, event_type))
        memcpy(&type, (const char *)h->def + offsetof(struct flb_proxy_def, event_type), sizeof type);
    return type;
}

/* ---- an output -----------------------------------------------------------------------------------------------------
 */

int flb_output_start(struct flb *h, struct flb_output *o, const char *const *properties)
{
    struct {
        struct flb_output_plugin ours;
        void *theirs[5];
    } plugin = {.theirs = {h, h, h, h, h}};
    *o = (struct flb_output){.host = h, .properties = properties};
    pthread_mutex_init(&o->lock, NULL);
    o->context = block_new(2 * sizeof(void *), true);
    plugin.ours = (struct flb_output_plugin){.api = h->api, .output = o, .context = o->context};
    int rc = h->init(&plugin.ours);
    memset(&plugin.ours, 0xee, sizeof plugin.ours); /* the next instance's */
    for (size_t i = 0; i < ARRAY_LEN(plugin.theirs); i++)
        assert_ptr_equal(plugin.theirs[i], h);
    if (rc > 0)
        h->pre_run(0);
    return rc;
}

void flb_output_stop(struct flb_output *o, bool reload)
{
    o->host->pre_exit(reload);
    o->host->exit(o->context->remote_context);
    block_free(o->context);
    o->context = NULL;
}

void flb_output_free(struct flb_output *o)
{
    free(o->log);
    pthread_mutex_destroy(&o->lock);
}

struct flush {
    struct flb_output *o;
    const void *data;
    size_t size;
    const char *tag;
    int answer;
    ucontext_t engine, coroutine;
};

static void flush_now(struct flush *f)
{
    char *tag = strdup(f->tag); /* freed as soon as flush is back, as the chunk is */
    char *data = malloc(MAX(f->size, 1));
    ENSURE(tag && data);
    memcpy(data, f->data, f->size);
    f->answer = f->o->host->flush(f->o->context->remote_context, data, f->size, tag);
    memset(data, 0xdd, f->size);
    free(data);
    free(tag);
}

#if !SANITIZED
#define STACK 24576

static void coroutine(unsigned high, unsigned low) { flush_now((struct flush *)((uintptr_t)high << 32 | low)); }

static void flush_as_coroutine(struct flush *f)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uint8_t *stack = mmap(NULL, page + STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ENSURE(stack != MAP_FAILED && mprotect(stack, page, PROT_NONE) == 0 && getcontext(&f->coroutine) == 0);
    f->coroutine.uc_stack.ss_sp = stack + page;
    f->coroutine.uc_stack.ss_size = STACK;
    f->coroutine.uc_link = &f->engine;
    makecontext(&f->coroutine, (void (*)(void))coroutine, 2, (unsigned)((uintptr_t)f >> 32), (unsigned)(uintptr_t)f);
    ENSURE(swapcontext(&f->engine, &f->coroutine) == 0);
    munmap(stack, page + STACK);
}
#else
/* Sanitizers keep books of stacks, and their frames are larger. */
static void flush_as_coroutine(struct flush *f) { flush_now(f); }
#endif

int flb_flush(struct flb_output *o, const void *data, size_t size, const char *tag)
{
    struct flush f = {.o = o, .data = data, .size = size, .tag = tag};
    flush_as_coroutine(&f);
    return f.answer;
}

static void *worker(void *flush)
{
    flush_as_coroutine(flush);
    return NULL;
}

int flb_flush_worker(struct flb_output *o, const void *data, size_t size, const char *tag)
{
    struct flush f = {.o = o, .data = data, .size = size, .tag = tag};
    pthread_t thread;
    ENSURE(pthread_create(&thread, NULL, worker, &f) == 0);
    pthread_join(thread, NULL);
    return f.answer;
}
