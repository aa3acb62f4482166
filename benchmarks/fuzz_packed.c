/* Feeds mutated packed files to the C core. Built with AddressSanitizer and UBSan by benchmarks/fuzz_packed.py.
 *
 *   fuzz_packed COUNT SEED FILE...
 *
 * Each round takes a file, changes some of its bytes (favouring header and program), mends size and checksum most of the
 * time so that the bytes behind them are looked at, loads it, and runs one image through what was accepted. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "packed.h"

static uint64_t state;

static uint32_t draw(uint32_t below) {
  state ^= state << 13, state ^= state >> 7, state ^= state << 17;
  return (uint32_t)((state >> 20) % below);
}

static void put32(uint8_t *p, uint32_t x) {
  for (int i = 0; i < 4; i++) p[i] = (uint8_t)(x >> 8 * i);
}

static uint32_t checksum(const uint8_t *data, size_t size) {
  uint32_t crc = 0xffffffffu;
  for (size_t i = 0; i < size; i++) {
    crc ^= i >= 60 && i < 64 ? 0 : data[i];
    for (int k = 0; k < 8; k++) crc = crc & 1 ? 0xedb88320u ^ (crc >> 1) : crc >> 1;
  }
  return crc ^ 0xffffffffu;
}

static size_t mutate(uint8_t *data, size_t size) {
  static const uint8_t favourites[] = {0, 1, 2, 3, 7, 8, 127, 128, 254, 255};
  uint32_t changes = 1 + draw(6), head = size < 1024 ? (uint32_t)size : 1024;
  for (uint32_t i = 0; i < changes; i++) {
    size_t at = draw(4) ? draw(head) : draw((uint32_t)size);
    data[at] = draw(2) ? favourites[draw(sizeof favourites)] : (uint8_t)draw(256);
  }
  if (!draw(8)) size = draw((uint32_t)size + 1);
  if (size >= 64 && draw(16)) {
    put32(data + 12, (uint32_t)size);
    put32(data + 60, checksum(data, size));
  }
  return size;
}

/* Load and, if it is accepted and not huge, run one image. */
static int attempt(const uint8_t *data, size_t size, int flags) {
  char error[200];
  pn_network *network;
  if (pn_load(data, size, draw(2) ? NULL : "portable", flags, &network, error, sizeof error) != 0) return 0;
  size_t bytes = pn_image_bytes(network);
  pn_workspace *work = bytes < 1 << 20 ? pn_workspace_new(network) : NULL;
  uint8_t *image = calloc(bytes, 1);
  int32_t chosen = 0;
  if (work && image) pn_run(network, work, image, 1, NULL, NULL, &chosen);
  free(image);
  pn_workspace_free(work);
  pn_free(network);
  return 1;
}

int main(int count, char **arguments) {
  if (count < 4) return fprintf(stderr, "usage: fuzz_packed COUNT SEED FILE...\n"), 2;
  long rounds = atol(arguments[1]), accepted = 0;
  state = (uint64_t)atol(arguments[2]) * 2654435761u + 88172645463325252u;
  for (long i = 0; i < rounds; i++) {
    FILE *file = fopen(arguments[3 + draw((uint32_t)count - 3)], "rb");
    if (!file) return 2;
    static uint8_t read[1 << 20];
    size_t size = fread(read, 1, sizeof read, file);
    fclose(file);
    if (!size) return 2;
    size = mutate(read, size);
    uint8_t *exact = malloc(size ? size : 1); /* so that reading one byte too many is noticed */
    memcpy(exact, read, size);
    accepted += attempt(exact, size, (int)(i & 1));
    free(exact);
  }
  printf("%ld mutants, %ld accepted and run, no crash\n", rounds, accepted);
  return 0;
}
