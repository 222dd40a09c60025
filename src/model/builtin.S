/* The model file: the linker maps it, nothing is parsed at build time. */
#include "base/asset.h"

    asset ser_builtin_bytes, SER_BUILTIN_MODEL_FILE
