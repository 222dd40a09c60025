#!/usr/bin/env python3
"""The structs and functions of ser/_library.py are those of the public headers: a C compiler says so.

Usage: test_layout.py INCLUDE_FOLDER COMPILER...
"""
import ctypes, re, subprocess, sys, tempfile

from ser import _library as lib

STRUCTS = {"ser_error": lib.ErrorText, "ser_settings": lib.Settings, "ser_session_settings": lib.SessionSettings, "ser_segment": lib.Segment,
           "ser_acoustics": lib.Acoustics, "ser_result": lib.Result, "ser_predict_options": lib.PredictOptions, "ser_feature_array": lib.FeatureArray,
           "ser_event": lib.Event, "ser_stream_settings": lib.StreamSettings, "ser_feature_settings": lib.FeatureSettings,
           "ser_samples": lib.Samples, "ser_samples_options": lib.SamplesOptions, "ser_run_epoch_info": lib.Epoch, "ser_run_listener": lib.Listener}
C_TYPES = {ctypes.c_int: "int", ctypes.c_size_t: "size_t", ctypes.c_double: "double", ctypes.c_char_p: "const char *", None: "void"}

include, compiler = sys.argv[1], sys.argv[2:]
lines = ['#include "ser/run.h"', "#include <assert.h>"]
for name, struct in STRUCTS.items():
    lines.append(f'_Static_assert(sizeof({name}) == {ctypes.sizeof(struct)}, "{name}");')
    for field, *_ in struct._fields_:
        at = getattr(struct, field)
        lines.append(f'_Static_assert(offsetof({name}, {field}) == {at.offset} && sizeof((({name} *)0)->{field}) == {at.size}, "{name}.{field}");')
lines.append(f'_Static_assert(SER_MAX_LABELS == {lib.MAX_LABELS} && SER_API_VERSION == {lib.API_VERSION}, "versions");')
lines.append('_Static_assert(SER_PRECISION_INT8 == 3 && SER_ENGINE_REF == 1 && SER_NOTE_SILENCE == 1 && SER_NOTE_NO_VOICE == 2, "words");')
headers = "".join(open(f"{include}/ser/{h}.h").read() for h in ("ser", "run"))
headers = re.sub(r"/\*.*?\*/", "", headers, flags=re.S)
n = 0
for name, (result, arguments) in {**lib.SER, **lib.RUN}.items():
    declared = re.search(r"SER_API\s+([^;{}]*?)\b%s\(([^;]*?)\);" % name, headers, re.S)
    assert declared, f"{name} is not in the headers"
    given = [a.strip() for a in declared[2].split(",") if a.strip() != "void"]
    assert len(given) == len(arguments), f"{name} takes {given}"
    for c_text, ours in zip(given, arguments):
        # Pointers as pointers, and numbers as the same numbers.
        is_pointer = "*" in c_text
        assert is_pointer == (ours in (ctypes.c_void_p, ctypes.c_char_p) or issubclass(ours, ctypes._Pointer)), f"{name}: {c_text}"
        if not is_pointer:
            assert c_text.startswith(C_TYPES[ours] + " "), f"{name}: {c_text} is {ours}"
    returned = declared[1].strip()
    is_pointer = "*" in returned and (result is ctypes.c_char_p or isinstance(result, type) and issubclass(result, ctypes._Pointer))
    assert is_pointer or returned == C_TYPES.get(result) or returned == "ser_status" and result is ctypes.c_int, f"{name} returns {returned}"
    n += 1
with tempfile.TemporaryDirectory() as folder:
    with open(f"{folder}/layout.c", "w") as f:
        f.write("\n".join(lines) + "\n")
    subprocess.run([*compiler, "-fsyntax-only", f"-I{include}", f"{folder}/layout.c"], check=True)
print(f"{len(STRUCTS)} structs, {n} functions")
