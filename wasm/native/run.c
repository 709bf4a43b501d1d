// Runs steps natively, for sanitizers: reads images of the linear memory, lets the ops touch only what was allocated,
// and writes the memory that the step leaves. Jobs come as arguments in fives:
//   image, ranges (u32 [begin, end) pairs), output, pool, step
#include "../step.h"
#include <sanitizer/asan_interface.h>
#include <stdio.h>
#include <stdlib.h>

u8 *edge_memory;

u32 run_step(u32 pool, u32 step_address);

static u8 *read_file(const char *path, size_t *bytes) {
  FILE *file = fopen(path, "rb");
  if (!file) {
    perror(path);
    exit(2);
  }
  fseek(file, 0, SEEK_END);
  *bytes = (size_t)ftell(file);
  rewind(file);
  u8 *data = aligned_alloc(64, (*bytes + 63) & ~(size_t)63);
  if (!data || fread(data, 1, *bytes, file) != *bytes) {
    perror(path);
    exit(2);
  }
  fclose(file);
  return data;
}

static void run_job(char **job) {
  size_t bytes, range_bytes;
  edge_memory = read_file(job[0], &bytes);
  u32 *ranges = (u32 *)read_file(job[1], &range_bytes);
  ASAN_POISON_MEMORY_REGION(edge_memory, bytes);
  for (size_t i = 0; i < range_bytes / sizeof(u32); i += 2)
    ASAN_UNPOISON_MEMORY_REGION(edge_memory + ranges[i], ranges[i + 1] - ranges[i]);
  run_step((u32)atoi(job[3]), (u32)atoi(job[4]));
  ASAN_UNPOISON_MEMORY_REGION(edge_memory, bytes);
  FILE *out = fopen(job[2], "wb");
  if (!out || fwrite(edge_memory, 1, bytes, out) != bytes || fclose(out)) {
    perror(job[2]);
    exit(2);
  }
  free(ranges);
  free(edge_memory);
}

int main(int argc, char **argv) {
  for (int i = 1; i + 5 <= argc; i += 5) run_job(argv + i);
  return 0;
}
