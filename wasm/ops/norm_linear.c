#include "../linear/linear.h"

OP(norm_linear) { run_linear(arguments, s, t); }
