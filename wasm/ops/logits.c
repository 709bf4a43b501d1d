// Only the rows that outputs name, one after the other in step.logits.
#include "../linear/linear.h"

OP(logits) { run_linear(arguments, s, t); }
