/* The real directory: who may have it, and what its calls say. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/base.h"

struct place {
    char path[64];
};

static int place_make(void **state)
{
    struct place *p = calloc(1, sizeof *p);
    *state = p;
    strcpy(p->path, "/tmp/gcw-test-XXXXXX");
    return mkdtemp(p->path) ? 0 : -1;
}

static int place_remove(void **state)
{
    struct place *p = *state;
    char command[96];
    snprintf(command, sizeof command, "rm -rf %s", p->path);
    int rc = system(command);
    free(p);
    return rc;
}

static void test_second_writer_is_refused_until_the_first_closes(void **state)
{
    const struct place *p = *state;
    struct disk_ops first, second;
    bool locked;
    gcw_error err = {0};
    assert_true(disk_posix_open(p->path, false, &first, &locked, &err));
    assert_false(locked);
    assert_false(disk_posix_open(p->path, false, &second, &locked, &err));
    assert_true(locked);
    assert_non_null(strstr(err.text, "another process or writer uses it"));
    disk_posix_close(&first);
    assert_true(disk_posix_open(p->path, false, &second, &locked, &err));
    disk_posix_close(&second);
}

static void test_looking_tells_of_a_writer_and_takes_nothing(void **state)
{
    const struct place *p = *state;
    struct disk_ops look, writer;
    bool locked;
    gcw_error err = {0};
    assert_true(disk_posix_open(p->path, true, &look, &locked, &err));
    assert_false(locked);
    assert_true(disk_posix_open(p->path, false, &writer, &locked, &err)); /* although somebody is looking */
    disk_posix_close(&look);
    assert_true(disk_posix_open(p->path, true, &look, &locked, &err));
    assert_true(locked);
    disk_posix_close(&writer);
    disk_posix_close(&look);
    assert_true(disk_posix_open(p->path, true, &look, &locked, &err));
    assert_false(locked);
    disk_posix_close(&look);
}

/* What a process held is free when it is gone, however it went. */
static void test_lock_ends_with_its_process(void **state)
{
    const struct place *p = *state;
    struct disk_ops d;
    bool locked;
    int told[2], status;
    char c;
    assert_int_equal(pipe(told), 0);
    pid_t pid = fork();
    if (pid == 0) {
        bool ok = disk_posix_open(p->path, false, &d, &locked, NULL) && write(told[1], "x", 1) == 1;
        while (ok)
            pause();
        _exit(1);
    }
    assert_int_equal(read(told[0], &c, 1), 1);
    assert_false(disk_posix_open(p->path, false, &d, &locked, NULL));
    assert_true(locked);
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(disk_posix_open(p->path, false, &d, &locked, NULL));
    disk_posix_close(&d);
    close(told[0]), close(told[1]);
}

static void test_directory_is_made_private_and_an_open_one_refused(void **state)
{
    const struct place *p = *state;
    struct disk_ops d;
    struct stat st;
    bool locked;
    char path[96];
    gcw_error err = {0};
    snprintf(path, sizeof path, "%s/new", p->path);
    assert_true(disk_posix_open(path, false, &d, &locked, &err));
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    disk_posix_close(&d);
    assert_int_equal(chmod(path, 0770), 0);
    assert_false(disk_posix_open(path, false, &d, &locked, &err));
    assert_non_null(strstr(err.text, "others may write"));
    snprintf(path, sizeof path, "%s/no/parent", p->path);
    assert_false(disk_posix_open(path, false, &d, &locked, &err));
    assert_non_null(strstr(err.text, path));
}

static void note(void *user, const char *name)
{
    if (strcmp(name, "one") == 0)
        ++*(int *)user;
}

static void test_files_do_what_the_table_says(void **state)
{
    const struct place *p = *state;
    struct disk_ops d;
    struct stat st;
    bool locked;
    char text[16], path[96];
    int seen = 0;
    assert_true(disk_posix_open(p->path, false, &d, &locked, NULL));
    assert_int_equal(d.open(d.ctx, "one", DISK_WRITE), -ENOENT);
    int f = d.open(d.ctx, "one", DISK_CREATE);
    assert_true(f >= 0);
    assert_int_equal(d.open(d.ctx, "one", DISK_CREATE), -EEXIST);
    assert_int_equal(d.write(d.ctx, f, "hello", 5, 3), 5);
    assert_int_equal(d.size(d.ctx, f), 8);
    assert_int_equal(d.read(d.ctx, f, text, sizeof text, 3), 5);
    assert_memory_equal(text, "hello", 5);
    assert_int_equal(d.truncate(d.ctx, f, 4), 0);
    assert_int_equal(d.read(d.ctx, f, text, sizeof text, 3), 1);
    assert_int_equal(d.sync(d.ctx, f), 0);
    assert_int_equal(d.sync_dir(d.ctx), 0);
    d.close(d.ctx, f);
    snprintf(path, sizeof path, "%s/one", p->path);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_true(d.list(d.ctx, note, &seen) >= 0);
    assert_int_equal(seen, 1);
    assert_int_equal(d.remove(d.ctx, "one"), 0);
    assert_int_equal(d.open(d.ctx, "one", DISK_READ), -ENOENT);
    disk_posix_close(&d);
}

static void test_directory_that_vanishes_is_made_again_by_a_new_file(void **state)
{
    const struct place *p = *state;
    struct disk_ops d, other;
    bool locked;
    char path[96], command[128];
    snprintf(path, sizeof path, "%s/q", p->path);
    snprintf(command, sizeof command, "rm -rf %s", path);
    assert_true(disk_posix_open(path, false, &d, &locked, NULL));
    assert_int_equal(system(command), 0);
    int f = d.open(d.ctx, "one", DISK_CREATE);
    assert_true(f >= 0);
    d.close(d.ctx, f);
    assert_false(disk_posix_open(path, false, &other, &locked, NULL));
    assert_true(locked);
    disk_posix_close(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_second_writer_is_refused_until_the_first_closes, place_make, place_remove),
        cmocka_unit_test_setup_teardown(test_looking_tells_of_a_writer_and_takes_nothing, place_make, place_remove),
        cmocka_unit_test_setup_teardown(test_lock_ends_with_its_process, place_make, place_remove),
        cmocka_unit_test_setup_teardown(test_directory_is_made_private_and_an_open_one_refused, place_make,
                                        place_remove),
        cmocka_unit_test_setup_teardown(test_files_do_what_the_table_says, place_make, place_remove),
        cmocka_unit_test_setup_teardown(test_directory_that_vanishes_is_made_again_by_a_new_file, place_make,
                                        place_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
