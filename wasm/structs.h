// The words at which fields of structs begin, as TypeScript writes and reads them. Made of src/backends/wasm/structs.ts by
// npx vitest run test/wasm/structs.test.ts -u
#ifndef EDGE_STRUCTS_H
#define EDGE_STRUCTS_H
#include <stddef.h>

#define AT_WORD(type, field, word) _Static_assert(offsetof(type, field) == 4 * (word), #type "." #field);
#define IN_WORDS(type, words) _Static_assert(sizeof(type) == 4 * (words), #type);

#define CHECK_segment \
  AT_WORD(segment, slot, 0) \
  AT_WORD(segment, position, 1) \
  AT_WORD(segment, first, 2) \
  AT_WORD(segment, rows, 3) \
  IN_WORDS(segment, 4)

#define CHECK_call \
  AT_WORD(call, op, 0) \
  AT_WORD(call, arguments, 1) \
  IN_WORDS(call, 2)

#define CHECK_step \
  AT_WORD(step, rows, 0) \
  AT_WORD(step, n_segments, 1) \
  AT_WORD(step, n_outputs, 2) \
  AT_WORD(step, segments, 3) \
  AT_WORD(step, ids, 4) \
  AT_WORD(step, outputs, 5) \
  AT_WORD(step, scratch, 6) \
  AT_WORD(step, n_logits, 7) \
  AT_WORD(step, logit_rows, 8) \
  AT_WORD(step, logits, 9) \
  AT_WORD(step, logits_stride, 10) \
  AT_WORD(step, calls, 11) \
  AT_WORD(step, first_call, 12) \
  AT_WORD(step, last_call, 13) \
  AT_WORD(step, threads, 14) \
  AT_WORD(step, sum16, 15) \
  IN_WORDS(step, 16)

#define CHECK_output \
  AT_WORD(output, logits_row, 0) \
  AT_WORD(output, wants, 1) \
  AT_WORD(output, target, 2) \
  AT_WORD(output, temperature, 3) \
  AT_WORD(output, top_k, 4) \
  AT_WORD(output, top_p, 5) \
  AT_WORD(output, min_p, 6) \
  AT_WORD(output, repetition, 7) \
  AT_WORD(output, frequency, 8) \
  AT_WORD(output, presence, 9) \
  AT_WORD(output, seed_lo, 10) \
  AT_WORD(output, seed_hi, 11) \
  AT_WORD(output, position, 12) \
  AT_WORD(output, n_recent, 13) \
  AT_WORD(output, n_bias, 14) \
  AT_WORD(output, n_top, 15) \
  AT_WORD(output, target_logprob, 16) \
  AT_WORD(output, id, 17) \
  AT_WORD(output, logprob, 18) \
  AT_WORD(output, reserved, 19) \
  AT_WORD(output, top_ids, 20) \
  AT_WORD(output, top_logprobs, 40) \
  AT_WORD(output, recent, 60) \
  AT_WORD(output, bias_ids, 124) \
  AT_WORD(output, bias_values, 1148) \
  IN_WORDS(output, 2172)

#define CHECK_pack_args \
  AT_WORD(pack_args, target, 0) \
  AT_WORD(pack_args, tile_bytes, 1) \
  AT_WORD(pack_args, rows, 2) \
  AT_WORD(pack_args, groups, 3) \
  AT_WORD(pack_args, group_words, 4) \
  AT_WORD(pack_args, number_bytes, 5) \
  AT_WORD(pack_args, has_bias, 6) \
  AT_WORD(pack_args, ggml, 7) \
  AT_WORD(pack_args, bits, 8) \
  AT_WORD(pack_args, codes, 9) \
  AT_WORD(pack_args, codes_row, 10) \
  AT_WORD(pack_args, codes_group, 11) \
  AT_WORD(pack_args, scale, 12) \
  AT_WORD(pack_args, bias, 13) \
  AT_WORD(pack_args, number_row, 14) \
  AT_WORD(pack_args, number_group, 15) \
  AT_WORD(pack_args, pool, 16) \
  AT_WORD(pack_args, threads, 17) \
  AT_WORD(pack_args, odd, 18) \
  IN_WORDS(pack_args, 19)

#define CHECK_pool_block \
  AT_WORD(pool_block, order, 0) \
  AT_WORD(pool_block, starters, 1) \
  AT_WORD(pool_block, stop, 2) \
  AT_WORD(pool_block, work, 3) \
  AT_WORD(pool_block, argument, 4) \
  AT_WORD(pool_block, lost, 5) \
  AT_WORD(pool_block, line0, 6) \
  AT_WORD(pool_block, arrived, 32) \
  AT_WORD(pool_block, line1, 33) \
  AT_WORD(pool_block, phase, 64) \
  AT_WORD(pool_block, sleepers, 65) \
  AT_WORD(pool_block, line2, 66) \
  AT_WORD(pool_block, claimed, 96) \
  AT_WORD(pool_block, line3, 97) \
  IN_WORDS(pool_block, 128)

#endif
