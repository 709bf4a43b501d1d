// Which rows of x a linear multiplies.
@group(0) @binding(0) var<storage, read> batch: Batch;

// How many rows there are: all, or those that logits are wanted of.
fn row_count() -> u32 {
#if LOGITS
  return batch.logit_rows;
#else
  return batch.rows;
#endif
}
fn x_row(row: u32) -> u32 {
#if LOGITS
  return batch.logit_row[row];
#else
  return row;
#endif
}
