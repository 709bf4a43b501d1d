#include "../linear/linear.h"

OP(linear_residual) { run_linear(arguments, s, t); }
