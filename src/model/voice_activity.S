/* The weights of voice_network.c. */
#include "base/asset.inc"

    asset ser_voice_weights, SER_VOICE_WEIGHTS_FILE
