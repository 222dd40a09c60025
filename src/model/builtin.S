/* The model file: the linker maps it, nothing is parsed at build time. */
#include "base/asset.inc"

    asset ser_builtin_bytes, SER_BUILTIN_MODEL_FILE
