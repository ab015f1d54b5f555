/* The tree of paths. */
#include "hosts/fluent-bit/paths.h"

#include <stdlib.h>

void paths_free(struct paths *paths)
{
    for (uint32_t i = 1; i < paths->count; i++)
        free((char *)(uintptr_t)paths->nodes[i].step.key.p);
    free(paths->nodes);
    free(paths->slots);
    *paths = (struct paths){0};
}

/* ---- building -------------------------------------------------------------------------------------------------- */

static bool node_add(struct paths *paths, const struct path_step *step, uint32_t *out)
{
    if (paths->count == paths->cap) {
        uint32_t cap = MAX(paths->cap * 2, 16u);
        struct path *p = realloc(paths->nodes, cap * sizeof *p);
        if (!p)
            return false;
        paths->nodes = p;
        paths->cap = cap;
    }
    struct path n = {.step = *step, .slot = -1};
    if (!step->indexes) {
        char *key = malloc(step->key.n + 1);
        if (!key)
            return false;
        if (step->key.n > 0)
            memcpy(key, step->key.p, step->key.n);
        n.step.key.p = key;
    }
    paths->nodes[ *out = paths->count++] = n;
    return true;
}

static bool step_eq(const struct path_step *a, const struct path_step *b)
{
    return a->indexes == b->indexes && (a->indexes ? a->index == b->index : view_eq(a->key, b->key));
}

static bool child_of(struct paths *paths, uint32_t parent, const struct path_step *step, uint32_t *out)
{
    for (uint32_t c = paths->nodes[parent].child; c; c = paths->nodes[c].sibling)
        if (step_eq(&paths->nodes[c].step, step)) {
            *out = c;
            return true;
        }
    if (!node_add(paths, step, out))
        return false;
    struct path *n = &paths->nodes[*out];
    n->sibling = paths->nodes[parent].child;
    paths->nodes[parent].child = *out;
    if (parent == 0 && !step->indexes) {
        uint32_t *top = &paths->top[key_hash(step->key)];
        n->same_hash = *top;
        *top = *out;
    }
    return true;
}

/* The node at the end of the steps; the nodes on the way are marked. */
static bool way(struct paths *paths, const struct path_step *steps, size_t count, bool removes, uint32_t *out)
{
    static const struct path_step record = {.indexes = true};
    *out = 0;
    if (paths->count == 0 && !node_add(paths, &record, out))
        return false;
    for (size_t i = 0; i < count; i++) {
        uint32_t parent = *out;
        if (!child_of(paths, parent, &steps[i], out))
            return false;
        paths->nodes[parent].removed_below |= removes;
        paths->nodes[parent].wanted_below |= !removes;
    }
    return true;
}

bool paths_want(struct paths *paths, const struct path_step *steps, size_t count, uint32_t *slot)
{
    uint32_t node;
    if (!way(paths, steps, count, false, &node))
        return false;
    if (paths->nodes[node].slot < 0) {
        struct msgpack *slots = realloc(paths->slots, (paths->slot_count + 1) * sizeof *slots);
        if (!slots)
            return false;
        paths->slots = slots;
        slots[paths->slot_count] = (struct msgpack){0};
        paths->nodes[node].slot = (int32_t)paths->slot_count++;
    }
    *slot = (uint32_t)paths->nodes[node].slot;
    return true;
}

bool paths_remove(struct paths *paths, const struct path_step *steps, size_t count)
{
    uint32_t node;
    if (!way(paths, steps, count, true, &node))
        return false;
    paths->nodes[node].removed = true;
    return true;
}

/* ---- looking up ------------------------------------------------------------------------------------------------ */

const struct path *path_of_top_key(const struct paths *paths, struct view key)
{
    return path_of_top_hash(paths, key, key_hash(key));
}

const struct path *path_of_top_hash(const struct paths *paths, struct view key, uint8_t hash)
{
    for (uint32_t i = paths->top[hash]; i; i = paths->nodes[i].same_hash)
        if (view_eq(paths->nodes[i].step.key, key))
            return &paths->nodes[i];
    return NULL;
}

const struct path *path_of_key(const struct paths *paths, const struct path *node, struct view key)
{
    for (uint32_t i = node ? node->child : 0; i; i = paths->nodes[i].sibling)
        if (!paths->nodes[i].step.indexes && view_eq(paths->nodes[i].step.key, key))
            return &paths->nodes[i];
    return NULL;
}

const struct path *path_of_element(const struct paths *paths, const struct path *node, uint32_t index)
{
    for (uint32_t i = node ? node->child : 0; i; i = paths->nodes[i].sibling)
        if (paths->nodes[i].step.indexes && paths->nodes[i].step.index == index)
            return &paths->nodes[i];
    return NULL;
}

bool paths_know(const struct paths *paths, const char *key)
{
    return paths->count > 0 && path_of_top_key(paths, view_of(key)) != NULL;
}

/* ---- capturing ------------------------------------------------------------------------------------------------- */

static bool value_capture(struct paths *paths, struct path *node, struct msgpack *m);

/* A node met a second time: what the first left is forgotten. Recursion goes as deep as the paths that were configured.
 */
static void below_forget(struct paths *paths, struct path *node)
{
    if (node->slot >= 0)
        paths->slots[node->slot] = (struct msgpack){0};
    node->seen = 0;
    for (uint32_t c = node->child; c; c = paths->nodes[c].sibling)
        below_forget(paths, &paths->nodes[c]);
}

/* Reads the value of a key or an element, which `found` stands for if anything does. */
static bool member_capture(struct paths *paths, const struct path *found, struct msgpack *m)
{
    return found ? value_capture(paths, &paths->nodes[found - paths->nodes], m) : msgpack_skip(m);
}

static bool map_capture(struct paths *paths, const struct path *node, uint32_t count, struct msgpack *m)
{
    bool top = node == paths->nodes;
    for (; count > 0; count--) {
        struct msgpack_value key;
        const struct path *found = NULL;
        if (!msgpack_next(m, &key))
            return false;
        if (key.type == MSGPACK_STR)
            found = top ? path_of_top_key(paths, key.bytes) : path_of_key(paths, node, key.bytes);
        else if (!msgpack_skip_rest(m, &key))
            return false;
        if (!member_capture(paths, found, m))
            return false;
    }
    return true;
}

static bool array_capture(struct paths *paths, const struct path *node, uint32_t count, struct msgpack *m)
{
    for (uint32_t i = 0; i < count; i++)
        if (!member_capture(paths, path_of_element(paths, node, i), m))
            return false;
    return true;
}

static bool value_capture(struct paths *paths, struct path *node, struct msgpack *m)
{
    const struct msgpack at = *m;
    struct msgpack_value head;
    if (node->seen == paths->record)
        below_forget(paths, node);
    if (!msgpack_next(m, &head))
        return false;
    node->seen = paths->record;
    if (node->slot >= 0)
        paths->slots[node->slot] = at;
    if (node->wanted_below && head.type == MSGPACK_MAP)
        return map_capture(paths, node, head.count, m);
    if (node->wanted_below && head.type == MSGPACK_ARRAY)
        return array_capture(paths, node, head.count, m);
    return msgpack_skip_rest(m, &head);
}

void paths_begin(struct paths *paths)
{
    paths->record++;
    for (uint32_t i = 0; i < paths->slot_count; i++)
        paths->slots[i] = (struct msgpack){0};
}

void paths_capture(struct paths *paths, struct msgpack body)
{
    if (paths->count > 0)
        value_capture(paths, paths->nodes, &body);
}

bool paths_capture_value(struct paths *paths, const struct path *node, struct msgpack *m)
{
    return value_capture(paths, &paths->nodes[node - paths->nodes], m);
}

void paths_capture_elsewhere(struct paths *paths, const char *key, struct msgpack value)
{
    const struct path *found = paths->count ? path_of_top_key(paths, view_of(key)) : NULL;
    if (found && found->seen != paths->record && !msgpack_at_end(&value))
        paths_capture_value(paths, found, &value);
}
