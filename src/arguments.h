/* The arguments of a Python call: arrays by the buffer protocol, and numbers. */
#ifndef VNECT_ROS_ARGUMENTS_H
#define VNECT_ROS_ARGUMENTS_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#define MAX_ARGUMENTS 16
#define DOUBLES(type) (sizeof(type) / sizeof(double))
#define ANY_COUNT (-1)

/* What a call wants at a place. */
typedef struct {
    enum { ARRAY, FLOATS, FLAGS, INDICES, WHOLES, SCALAR, SWITCH, WHOLE } kind;
    void *to;         /* the pointer, or the number, that is set */
    Py_ssize_t count; /* of an array's items; what INDICES and WHOLE are below */
    int writable, optional;
} Argument;

/* Arrays of float64, float32, bool and int64 (INDICES: each below their count), contiguous.
 * OUT is written to; MAYBE may be None, which is NULL. */
#define IN(pointer, count) {ARRAY, &(pointer), count, 0, 0}
#define OUT(pointer, count) {ARRAY, &(pointer), count, 1, 0}
#define MAYBE(pointer, count) {ARRAY, &(pointer), count, 0, 1}
#define FLOATS_IN(pointer, count) {FLOATS, &(pointer), count, 0, 0}
#define FLOATS_MAYBE(pointer, count) {FLOATS, &(pointer), count, 0, 1}
#define FLAGS_IN(pointer, count) {FLAGS, &(pointer), count, 0, 0}
#define FLAGS_OUT(pointer, count) {FLAGS, &(pointer), count, 1, 0}
#define INDICES_IN(pointer, count) {INDICES, &(pointer), count, 0, 0}
#define WHOLES_IN(pointer, count) {WHOLES, &(pointer), count, 0, 0}
#define WHOLES_OUT(pointer, count) {WHOLES, &(pointer), count, 1, 0}
#define NUMBER(value) {SCALAR, &(value), 0, 0, 0} /* a double */
#define YES_OR_NO(value) {SWITCH, &(value), 0, 0, 0} /* an int */
#define BELOW(value, count) {WHOLE, &(value), count, 0, 0} /* an int from 0 on */

/* The arrays of a call, to be given back at its end. */
typedef struct {
    Py_buffer views[MAX_ARGUMENTS];
    int count;
} Taken;

/* Set what is wanted.  Returns 0 with an error set, and nothing taken, where it is not given. */
int take(Taken *taken, PyObject *const *args, Py_ssize_t given, const Argument *wanted,
         Py_ssize_t count);

void give_back(Taken *taken);

/* End a call that returns nothing; `nothing_or` with numpy.linalg.LinAlgError where it failed. */
PyObject *nothing(Taken *taken);
PyObject *nothing_or(Taken *taken, int failed);

/* Find that error.  Returns 0, or -1 with an error set. */
int find_error(void);

/* Declares `taken`, and leaves the function where an argument is another. */
#define TAKE(...)                                                                     \
    Taken taken = {.count = 0};                                                       \
    const Argument wanted[] = {__VA_ARGS__};                                          \
    if (!take(&taken, args, given, wanted, (Py_ssize_t)(sizeof wanted / sizeof *wanted))) \
        return NULL

#endif
