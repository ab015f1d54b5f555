/* The entry points, and the list of instances. The list lets contexts that are not ours, or not any more, be told from
 * those that are: hosts before 2.0.7 hand the last instance's context to every exit. Nothing else is shared between
 * instances, so that a hot reload, which registers anew while the old instances still work, finds nothing to disturb.
 */
#include <malloc.h>
#include <stddef.h>

#include "hosts/fluent-bit/instance.h"

enum { INIT_FAILED = -1, INIT_OK = 1 };

static struct {
    pthread_mutex_t lock;
    pthread_cond_t idle; /* an instance lost its last user */
    struct instance *first;
    unsigned numbers; /* given out since the list was last empty: as the host counts its instances */
    bool offered;     /* the host has a place for saying that metrics are wanted too */
} module = {.lock = PTHREAD_MUTEX_INITIALIZER, .idle = PTHREAD_COND_INITIALIZER};

/* The instance of a context, in use until instance_put(); NULL for any other pointer. */
static struct instance *instance_get(const void *context)
{
    pthread_mutex_lock(&module.lock);
    struct instance *in = module.first;
    while (in && in != context)
        in = in->next;
    if (in)
        in->users++;
    pthread_mutex_unlock(&module.lock);
    return in;
}

static void instance_put(struct instance *in)
{
    pthread_mutex_lock(&module.lock);
    if (--in->users == 0)
        pthread_cond_broadcast(&module.idle);
    pthread_mutex_unlock(&module.lock);
}

static void instance_list(struct instance *in)
{
    pthread_mutex_lock(&module.lock);
    in->next = module.first;
    module.first = in;
    pthread_mutex_unlock(&module.lock);
}

/* Takes it off the list, so that nobody finds it any more, and waits for who has it still. */
static struct instance *instance_unlist(const void *context)
{
    pthread_mutex_lock(&module.lock);
    struct instance **link = &module.first;
    while (*link && *link != context)
        link = &(*link)->next;
    struct instance *in = *link;
    if (in) {
        *link = in->next;
        jobs_close(&in->jobs);
    }
    while (in && in->users > 0)
        pthread_cond_wait(&module.idle, &module.lock);
    pthread_mutex_unlock(&module.lock);
    return in;
}

int FLBPluginPreRegister(int hot_reloading)
{
    (void)hot_reloading;
    return 0;
}

/* Where the block ends is the allocator's to say: the host's, which our malloc_usable_size() is too. Hosts that know
 * the member have zeroed it. */
static bool has_event_type(struct flb_proxy_def *def)
{
    return malloc_usable_size(def) >= offsetof(struct flb_proxy_def, event_type) + sizeof def->event_type &&
           def->event_type == 0;
}

int FLBPluginRegister(struct flb_proxy_def *def)
{
    static char name[] = "grafana_cloud", description[] = "Grafana Cloud, Mimir, Prometheus and Loki by gcw";
    if (!def)
        return -1;
    def->type = FLB_TYPE_OUTPUT;
    def->proxy = FLB_PROXY_GOLANG;
    def->flags = 0;
    def->name = name;
    def->description = description;
    bool offered = has_event_type(def);
    if (offered)
        def->event_type = FLB_EVENT_LOGS | FLB_EVENT_METRICS;
    pthread_mutex_lock(&module.lock);
    module.offered = offered;
    pthread_mutex_unlock(&module.lock);
    return 0;
}

int FLBPluginInit(struct flb_output_plugin *plugin)
{
    pthread_mutex_lock(&module.lock);
    unsigned number = module.numbers = module.first ? module.numbers + 1 : 0;
    bool offered = module.offered;
    pthread_mutex_unlock(&module.lock);
    struct instance *in = instance_open(plugin->api, plugin->output, number, offered);
    if (!in)
        return INIT_FAILED;
    instance_list(in);
    plugin->context->remote_context = in;
    return INIT_OK;
}

/* On a small stack: everything that takes more than copying is done by the worker. */
int FLBPluginFlushCtx(void *context, const void *data, size_t size, const char *tag)
{
    struct instance *in = instance_get(context);
    if (!in)
        return FLB_ERROR;
    enum flb_answer answer = instance_flush(in, data, size, tag);
    instance_put(in);
    return (int)answer;
}

int FLBPluginOutputPreRun(int hot_reload_enabled)
{
    (void)hot_reload_enabled;
    return 0;
}

void FLBPluginOutputPreExit(int by_hot_reload) { (void)by_hot_reload; }

/* Called for instances whose Init did not run or failed, too. */
int FLBPluginExitCtx(void *context)
{
    struct instance *in = context ? instance_unlist(context) : NULL;
    if (in)
        instance_close(in);
    return 0;
}

void FLBPluginUnregister(struct flb_proxy_def *def) { (void)def; }
