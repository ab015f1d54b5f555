/* A file of targets of any bytes: refused in words that name the line, or a list of targets that can be told apart, and
 * that is read the same way again. */
#include <stdio.h>
#include <stdlib.h>

#include "cli/scrape/targets.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct secrets secrets = {.log = {.level = 0}};
    struct target_settings defaults;
    struct target_list list = {0}, again = {0};
    const struct view text = view_make((const char *)data, size);
    gcw_error err = {0}, same = {0};
    ENSURE(defaults_init(&defaults));
    gcw_status status = targets_read(&list, &defaults, &secrets, "targets", text, &err);
    ENSURE(targets_read(&again, &defaults, &secrets, "targets", text, &same) == status);
    ENSURE(list.count == again.count && strcmp(err.text, same.text) == 0);
    ENSURE(status == GCW_OK || strncmp(err.text, "targets:", 8) == 0);
    for (size_t i = 0; i < list.count; i++) {
        ENSURE(target_settings_equal(list.at[i], again.at[i]));
        ENSURE(target_label_value(list.at[i], view_of("job")) && target_label_value(list.at[i], view_of("instance")));
        for (size_t k = 0; k < i; k++)
            ENSURE(!target_settings_equal(list.at[i], list.at[k]));
    }
    target_list_free(&list);
    target_list_free(&again);
    target_settings_wipe(&defaults);
    ENSURE(!secrets.first);
    return 0;
}
