/* Fluent Bit exports the nghttp2 that is linked into it. Where our libcurl comes as a shared library with a shared
 * libnghttp2, the dynamic linker binds part of its calls to the host's, of another version: structs of one in the hands
 * of the other. HTTP/1.1 does not go near it. */
#include <dlfcn.h>
#include <stdint.h>
#include <sys/auxv.h>

#include "hosts/fluent-bit/instance.h"

bool host_shadows_nghttp2(void)
{
    Dl_info program, found;
    void *symbol = dlsym(RTLD_DEFAULT, "nghttp2_session_callbacks_new");
    return symbol && dladdr(symbol, &found) && dladdr((void *)(uintptr_t)getauxval(AT_ENTRY), &program) &&
           found.dli_fbase == program.dli_fbase;
}
