#include "fuzz.h"
#include "io/csv.h"

static void append_rows(ser_text *t, const ser_csv *c)
{
    for (size_t j = 0; j < c->n_columns; j++)
        ser_text_append(t, j + 1 < c->n_columns ? "x," : "x\n");
    for (size_t i = 0; i < c->n_rows; i++)
        for (size_t j = 0; j < c->n_columns; j++) {
            ser_csv_append_field(t, c->rows[i][j]);
            ser_text_append(t, j + 1 < c->n_columns ? "," : "\n");
        }
}

/* What was read, written and read again must be the same, below a row of its own: a first field may begin
 * like a byte order mark, a line that names the separator, or something else than a table. */
static void write_and_read_again(const ser_csv *c)
{
    ser_text t = {0};
    ser_csv again;
    append_rows(&t, c);
    if (c->n_columns > 1) { /* a row of one empty field is an empty line, which is no row */
        if (ser_csv_read_memory(&again, t.s, t.n, NULL) != SER_OK || again.n_rows != c->n_rows + 1 ||
            again.n_columns != c->n_columns)
            abort();
        for (size_t i = 0; i < c->n_rows; i++)
            for (size_t j = 0; j < c->n_columns; j++)
                if (strcmp(c->rows[i][j], again.rows[i + 1][j]) != 0)
                    abort();
        ser_csv_release(&again);
    }
    ser_text_release(&t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    uint8_t *copy = fuzz_copy(data, n);
    ser_csv c;
    if (ser_csv_read_memory(&c, (const char *)copy, n, NULL) == SER_OK)
        write_and_read_again(&c);
    ser_csv_release(&c);
    free(copy);
    return 0;
}
