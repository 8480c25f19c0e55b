/* Preloaded into a process: writes down every connection to another machine and every
   process that it starts, into the file that TRAP_FILE names. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <netdb.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define REAL(name) __typeof__(&name) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

static void note(const char *format, ...) {
    char line[1024];
    va_list rest;
    va_start(rest, format);
    int length = vsnprintf(line, sizeof line - 1, format, rest);
    va_end(rest);
    if (length > (int)sizeof line - 2) length = sizeof line - 2;
    line[length] = '\n';
    const char *path = getenv("TRAP_FILE");
    int file = path ? open(path, O_WRONLY | O_APPEND | O_CREAT, 0600) : -1;
    if (file >= 0) {
        if (write(file, line, length + 1) < 0) abort();
        close(file);
    }
}

static void address(const char *call, const struct sockaddr *to) {
    char text[INET6_ADDRSTRLEN] = "";
    if (!to) return;
    if (to->sa_family == AF_INET) {
        const struct in_addr *a = &((const struct sockaddr_in *)to)->sin_addr;
        if ((ntohl(a->s_addr) >> 24) == 127) return;
        inet_ntop(AF_INET, a, text, sizeof text);
    } else if (to->sa_family == AF_INET6) {
        const struct in6_addr *a = &((const struct sockaddr_in6 *)to)->sin6_addr;
        if (IN6_IS_ADDR_LOOPBACK(a)) return;
        inet_ntop(AF_INET6, a, text, sizeof text);
    } else {
        return;
    }
    note("%s %s", call, text);
}

static void start(const char *call, const char *path, char *const argv[]) {
    char line[900] = "";
    for (int i = 0; argv && argv[i] && strlen(line) + strlen(argv[i]) + 2 < sizeof line; i++) {
        strcat(line, " ");
        strcat(line, argv[i]);
    }
    note("%s %s:%s", call, path, line);
}

int connect(int socket, const struct sockaddr *to, socklen_t size) {
    REAL(connect);
    address("connect", to);
    return real(socket, to, size);
}

ssize_t sendto(int socket, const void *data, size_t length, int flags, const struct sockaddr *to,
               socklen_t size) {
    REAL(sendto);
    address("sendto", to);
    return real(socket, data, length, flags, to, size);
}

ssize_t sendmsg(int socket, const struct msghdr *message, int flags) {
    REAL(sendmsg);
    address("sendmsg", message->msg_name);
    return real(socket, message, flags);
}

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
                struct addrinfo **found) {
    REAL(getaddrinfo);
    if (name) note("getaddrinfo %s", name);
    return real(name, service, hints, found);
}

pid_t fork(void) {
    REAL(fork);
    note("fork");
    return real();
}

int execve(const char *path, char *const argv[], char *const environment[]) {
    REAL(execve);
    start("execve", path, argv);
    return real(path, argv, environment);
}

int execv(const char *path, char *const argv[]) {
    REAL(execv);
    start("execv", path, argv);
    return real(path, argv);
}

int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
                const posix_spawnattr_t *attributes, char *const argv[],
                char *const environment[]) {
    REAL(posix_spawn);
    start("posix_spawn", path, argv);
    return real(pid, path, actions, attributes, argv, environment);
}

int system(const char *command) {
    REAL(system);
    note("system %s", command);
    return real(command);
}
