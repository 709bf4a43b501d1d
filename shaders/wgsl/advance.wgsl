// The sampled tokens become the rows of the next step, which needs nothing of the host. One thread an output.
@group(0) @binding(0) var<storage, read_write> batch: Batch;
@group(0) @binding(1) var<storage, read_write> outputs: array<Output, OUTPUTS>;
@group(0) @binding(2) var<storage, read> results: array<Result, OUTPUTS>;
@group(0) @binding(3) var<storage, read_write> history: array<Result>; // [steps ahead][outputs]

@compute @workgroup_size(OUTPUTS)
fn advance(@builtin(local_invocation_index) i: u32) {
  if (i < batch.outputs) { follow(i); }
  workgroupBarrier();
  if (i == 0u) { batch.ahead += 1u; }
}

fn follow(i: u32) {
  let id = results[i].id;
  history[batch.ahead * batch.outputs + i] = results[i];
  let row = outputs[i].row;
  batch.row[row].id = id;
  batch.row[row].position += 1u;
  batch.segment[batch.row[row].segment].position += 1u;
  outputs[i].position += 1u;
  if (outputs[i].n_recent < MAX_RECENT) {
    outputs[i].recent[outputs[i].n_recent] = id;
    outputs[i].n_recent += 1u;
  } else {
    outputs[i].recent[outputs[i].oldest] = id;
    outputs[i].oldest = (outputs[i].oldest + 1u) % MAX_RECENT;
  }
}
