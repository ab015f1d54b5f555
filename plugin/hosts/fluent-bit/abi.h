/* What Fluent Bit's loader for external ("proxy") plugins and this module share: structs, numbers, entry points. There
 * is no header of theirs to include, and the structs have grown over the versions; each member says since when it is
 * there. The host allocates all of them, so nothing behind what its version knows may be touched.
 *
 * Callbacks: Register runs on the main thread, maybe before a fork into the background: no threads, no library state.
 * Init and Exit run on the engine's thread, flush on that or on one of N worker threads, as a coroutine on a stack of
 * 24 KiB without a guard page (64 KiB from 5.1 on). */
#ifndef GCW_HOSTS_FLUENT_BIT_ABI_H
#define GCW_HOSTS_FLUENT_BIT_ABI_H

#include <stddef.h>

#define FLB_EXPORT __attribute__((visibility("default")))

enum flb_plugin_type { FLB_TYPE_OUTPUT = 2 };
enum flb_plugin_proxy { FLB_PROXY_GOLANG = 11 };
enum flb_event_type { FLB_EVENT_LOGS = 1, FLB_EVENT_METRICS = 2 }; /* bits */
enum flb_answer { FLB_ERROR = 0, FLB_OK = 1, FLB_RETRY = 2 };      /* of flush */
enum flb_log_level { FLB_LOG_ERROR = 1, FLB_LOG_WARN = 2, FLB_LOG_INFO = 3, FLB_LOG_DEBUG = 4 };

/* 32 bytes on 64-bit systems up to 4.2.2, uninitialised but for `type`; 40 and zeroed since 4.2.3; 48 since 5.1.1. */
struct flb_proxy_def {
    int type;
    int proxy;
    int flags;
    char *name;        /* kept by pointer, never freed */
    char *description; /* the same */
    int event_type;    /* since 4.2.3: only to be written where the host has it */
};

/* 8 bytes in 1.9; the log functions since 2.0.0. */
struct flb_api {
    const char *(*output_get_property)(const char *key, void *output);
    const char *(*input_get_property)(const char *key, void *input);
    void *output_get_cmt_instance; /* may be garbage */
    void *input_get_cmt_instance;
    void (*log_print)(int level, const char *file, int line, const char *format, ...);
    int (*input_log_check)(void *input, int level);
    int (*output_log_check)(void *output, int level);
};

struct flb_proxy_context {
    void *remote_context; /* ours: what flush and exit get */
};

/* One for all instances; `output` and `context` are the present instance's while Init runs. The rest is the host's. */
struct flb_output_plugin {
    char *name;
    struct flb_api *api;
    void *output;
    struct flb_proxy_context *context;
};

FLB_EXPORT int FLBPluginPreRegister(int hot_reloading);
FLB_EXPORT int FLBPluginRegister(struct flb_proxy_def *def);
FLB_EXPORT int FLBPluginInit(struct flb_output_plugin *plugin);
FLB_EXPORT int FLBPluginFlushCtx(void *context, const void *data, size_t size, const char *tag);
FLB_EXPORT int FLBPluginOutputPreRun(int hot_reload_enabled);
FLB_EXPORT void FLBPluginOutputPreExit(int by_hot_reload);
FLB_EXPORT int FLBPluginExitCtx(void *context);
FLB_EXPORT void FLBPluginUnregister(struct flb_proxy_def *def);

#endif
