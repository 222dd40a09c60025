/* What was learned, as bytes: for another process of the same program, or a file that the same version reads.
 */
#ifndef SER_LEARN_PACK_H
#define SER_LEARN_PACK_H

#include "base/text.h"
#include "learn/evaluate.h"

/* Of the two kinds that come with the program: what others know stays where it was learned, and is not asked
 * for once that has answered. */
void ser_learned_pack(ser_text *t, const ser_learned *l);

/* Bytes as they are read. */
typedef struct ser_pack_reader {
    const char *at, *end;
    bool failed; /* they are not what was packed, or there is no memory */
} ser_pack_reader;
void ser_pack_read(ser_pack_reader *r, void *to, size_t n);

/* SER_E_FORMAT. Release *l in any case. */
ser_status ser_learned_unpack(ser_learned *l, ser_pack_reader *r, ser_error *err);

/* One network of them. */
void ser_network_pack(ser_text *t, const ser_timnet_fit *fit, const ser_timnet_member *m);
ser_status ser_network_unpack(ser_timnet_fit *fit, ser_timnet_member *m, ser_pack_reader *r, ser_error *err);

#endif
