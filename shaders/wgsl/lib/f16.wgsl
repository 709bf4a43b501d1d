// How rows lie as f16, in blocks of BLOCK columns: what a word of W unpacks to lands in pairs, those of neighbouring
// words side by side, so that threads that unpack neighbours write to different banks. The order of columns is free as long
// as x has the same.
const BLOCK = 64u; // columns
const BLOCK_WORDS = BLOCK / WORD_COLS; // of W
const PAIRS = WORD_COLS / 2u; // of a word: columns i and i + PAIRS
const STRIDE = (COLS + BLOCK - 1u) / BLOCK * BLOCK / 2u; // pairs of a row of x
