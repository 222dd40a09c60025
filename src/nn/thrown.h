/* What C++ throws, caught in C. oneDNN's functions have C's interface and throw nevertheless, where memory
 * runs out in the middle of one; with nobody there to catch, that would end the program of whoever uses this
 * library. */
#ifndef SER_NN_THROWN_H
#define SER_NN_THROWN_H

/* What attempt(context) returns, or when_thrown. What attempt holds at that moment is lost: it keeps in
 * *context what has to be released. */
int ser_nn_try(int (*attempt)(void *context), void *context, int when_thrown);

#endif
