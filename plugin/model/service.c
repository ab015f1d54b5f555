/* The label service_name of a log stream, as Loki's distributor would set it. */
#include "model/block.h"

/* The first of these with a value names the service; in this order. */
static const char *const sources[] = {"service",
                                      "app",
                                      "application",
                                      "app_name",
                                      "name",
                                      "app_kubernetes_io_name",
                                      "container",
                                      "container_name",
                                      "k8s_container_name",
                                      "component",
                                      "workload",
                                      "job",
                                      "k8s_job_name"};
#define TARGET "service_name"

/* The value of the label that names the service; "unknown_service" without one. False: service_name is there. */
static bool service_find(struct view block, struct view *service)
{
    size_t best = ARRAY_LEN(sources);
    struct view name, value;
    *service = view_of("unknown_service");
    while (block_next(&block, &name, &value)) {
        if (view_is(name, TARGET))
            return false;
        for (size_t i = 0; i < best; i++)
            if (view_is(name, sources[i]))
                *service = value, best = i;
    }
    return true;
}

gcw_status labels_add_service(struct label_scratch *s, gcw_error *err)
{
    struct view block = buf_view(&s->block), rest = block, service, name, value;
    size_t at = 0; /* where it belongs: labels are sorted by name */
    if (!service_find(block, &service))
        return GCW_OK;
    while (block_next(&rest, &name, &value) && view_cmp(name, view_of(TARGET)) < 0)
        at = block.n - rest.n;
    s->text.n = 0;
    if (!buf_reserve(&s->text, block.n + sizeof TARGET + service.n + BLOCK_PUT_EXTRA))
        return error_set(err, GCW_ERR_NOMEM, "out of memory");
    uint8_t *p = s->text.p;
    memcpy(p, block.p, at);
    p = block_put(p + at, view_of(TARGET), service);
    memcpy(p, block.p + at, block.n - at);
    s->text.n = (size_t)(p - s->text.p) + block.n - at;
    struct buf with = s->text; /* the block that was is scratch from here on */
    s->text = s->block;
    s->block = with;
    return GCW_OK;
}
