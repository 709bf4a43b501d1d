#include batch math dt weight unit block packed products mamba2_decode
// mamba2_decode with the projection after it (PROJECT).
