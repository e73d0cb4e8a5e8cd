/* Preloaded into a daemon under test: its resolver hangs on one name while a file exists.

   $TEST_HANGING_NAME is the name, $TEST_HANGING_FILE the file. Nothing of Python runs meanwhile, as
   with a name server that never answers and a long list of them. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef int resolve(const char *, const char *, const struct addrinfo *, struct addrinfo **);

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **found)
{
    const char *name = getenv("TEST_HANGING_NAME"), *path = getenv("TEST_HANGING_FILE");
    if (node && name && path && strcmp(node, name) == 0)
        while (access(path, F_OK) == 0)
            usleep(50000);
    return ((resolve *)dlsym(RTLD_NEXT, "getaddrinfo"))(node, service, hints, found);
}
