/* By the unwinder's interface: Itanium C++ ABI, Exception Handling, level I
 * (https://itanium-cxx-abi.github.io/cxx-abi/abi-eh.html). A frame that has a personality routine may say
 * that it catches what is thrown below; ours says so always, and when all frames below have tidied up, jumps.
 */
#include "nn/thrown.h"

#include <setjmp.h>
#include <stdint.h>
#include <unwind.h>

/* Where to jump, while something is tried in this thread. The routine gets no context of ours. */
static _Thread_local jmp_buf *catcher;

/* Of the C++ library, which is there when something can be thrown. */
__attribute__((weak)) void *__cxa_begin_catch(void *exception);
__attribute__((weak)) void __cxa_end_catch(void);

_Unwind_Reason_Code ser_nn_personality(int version, _Unwind_Action actions, uint64_t class,
                                       struct _Unwind_Exception *exception, struct _Unwind_Context *context);

/* Named in assembly only. */
__attribute__((used, visibility("hidden"))) _Unwind_Reason_Code ser_nn_personality(
    int version, _Unwind_Action actions, uint64_t class, struct _Unwind_Exception *exception,
    struct _Unwind_Context *context)
{
    (void)version, (void)class, (void)context;
    if (actions & _UA_FORCE_UNWIND || !__cxa_begin_catch || !__cxa_end_catch) /* a thread that is cancelled */
        return _URC_CONTINUE_UNWIND;
    if (actions & _UA_SEARCH_PHASE)
        return _URC_HANDLER_FOUND;
    __cxa_begin_catch(exception);
    __cxa_end_catch(); /* which releases it */
    longjmp(*catcher, 1);
}

__attribute__((noinline)) static int call(int (*attempt)(void *), void *context)
{
    __asm__ volatile(".cfi_personality 0x1b, ser_nn_personality"); /* 0x1b: relative to here, 4 bytes */
    int result = attempt(context);
    __asm__ volatile(""); /* nothing to return straight from there: this frame has to be found */
    return result;
}

int ser_nn_try(int (*attempt)(void *context), void *context, int when_thrown)
{
    jmp_buf here, *outer = catcher;
    volatile int result = when_thrown;
    catcher = &here;
    if (setjmp(here) == 0)
        result = call(attempt, context);
    catcher = outer;
    return result;
}
