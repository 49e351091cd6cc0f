/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a fuzzer's entry point over files, or over all files of directories, without libFuzzer. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned files;

static int run_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    uint8_t *data = NULL;
    size_t size = 0, cap = 0, n;

    if (!f) {
        perror(path);
        return -1;
    }
    do {
        if (size == cap) {
            uint8_t *more = realloc(data, cap += 65536);
            if (!more)
                abort();
            data = more;
        }
        n = fread(data + size, 1, cap - size, f);
        size += n;
    } while (n);
    fclose(f);
    LLVMFuzzerTestOneInput(data, size);
    free(data);
    files++;
    return 0;
}

static int run_directory(const char *path)
{
    struct dirent **entries;
    int count = scandir(path, &entries, NULL, alphasort), failed = count < 0;

    if (count < 0)
        perror(path);
    for (int i = 0; i < count; i++) {
        char name[4096];
        if (entries[i]->d_name[0] != '.') {
            snprintf(name, sizeof(name), "%s/%s", path, entries[i]->d_name);
            failed |= run_file(name) < 0;
        }
        free(entries[i]);
    }
    if (count >= 0)
        free(entries);
    return failed ? -1 : 0;
}

int main(int argc, char **argv)
{
    struct stat st;
    int failed = 0;

    for (int i = 1; i < argc; i++) {
        if (stat(argv[i], &st) == 0 && S_ISDIR(st.st_mode))
            failed |= run_directory(argv[i]) < 0;
        else
            failed |= run_file(argv[i]) < 0;
    }
    printf("%u inputs\n", files);
    return failed || !files;
}
