#include "arguments.h"

#include <stdint.h>
#include <string.h>

/* Formats that NumPy has for an item; int64 is a long or, elsewhere, a long long. */
static int is_of(const char *format, Py_ssize_t itemsize, const Argument *wanted)
{
    switch (wanted->kind) {
    case FLAGS:
        return itemsize == 1 && !strcmp(format, "?");
    case FLOATS:
        return itemsize == sizeof(float) && !strcmp(format, "f");
    case INDICES:
    case WHOLES:
        return itemsize == 8 && (!strcmp(format, "l") || !strcmp(format, "q"));
    default:
        return itemsize == sizeof(double) && !strcmp(format, "d");
    }
}

static int array(Taken *taken, PyObject *object, const Argument *wanted)
{
    static const char *const names[] = {[ARRAY] = "float64", [FLOATS] = "float32", [FLAGS] = "bool",
                                        [INDICES] = "int64", [WHOLES] = "int64"};
    if (wanted->optional && object == Py_None) {
        *(void **)wanted->to = NULL;
        return 1;
    }
    Py_buffer *view = taken->views + taken->count;
    int flags = PyBUF_C_CONTIGUOUS | PyBUF_FORMAT | (wanted->writable ? PyBUF_WRITABLE : 0);
    if (PyObject_GetBuffer(object, view, flags) < 0)
        return 0;
    taken->count++;
    const char *format = view->format ? view->format : "B";
    Py_ssize_t items = view->len / view->itemsize;
    if (!is_of(format, view->itemsize, wanted) ||
        (wanted->count != ANY_COUNT && items != wanted->count)) {
        PyErr_Format(PyExc_ValueError, "got %zd items of type '%s', accepted: %zd of %s", items,
                     format, wanted->count, names[wanted->kind]);
        return 0;
    }
    if (wanted->kind == INDICES)
        for (Py_ssize_t i = 0; i < items; i++) {
            int64_t value = ((const int64_t *)view->buf)[i];
            if (value < 0 || value >= items) {
                PyErr_Format(PyExc_ValueError, "got index %lld, accepted: from 0 on, below %zd",
                             (long long)value, items);
                return 0;
            }
        }
    *(void **)wanted->to = view->buf;
    return 1;
}

static int set(Taken *taken, PyObject *object, const Argument *wanted)
{
    switch (wanted->kind) {
    case SCALAR: {
        double value = PyFloat_AsDouble(object);
        *(double *)wanted->to = value;
        return value != -1.0 || !PyErr_Occurred();
    }
    case SWITCH:
        return (*(int *)wanted->to = PyObject_IsTrue(object)) >= 0;
    case WHOLE: {
        long value = PyLong_AsLong(object);
        if (value == -1 && PyErr_Occurred())
            return 0;
        if (value < 0 || value >= wanted->count) {
            PyErr_Format(PyExc_ValueError, "got %ld, accepted: from 0 on, below %zd", value,
                         wanted->count);
            return 0;
        }
        *(int *)wanted->to = (int)value;
        return 1;
    }
    default:
        return array(taken, object, wanted);
    }
}

int take(Taken *taken, PyObject *const *args, Py_ssize_t given, const Argument *wanted,
         Py_ssize_t count)
{
    if (given != count) {
        PyErr_Format(PyExc_TypeError, "got %zd arguments, accepted: %zd", given, count);
        return 0;
    }
    for (Py_ssize_t i = 0; i < count; i++)
        if (!set(taken, args[i], wanted + i)) {
            give_back(taken);
            return 0;
        }
    return 1;
}

void give_back(Taken *taken)
{
    while (taken->count)
        PyBuffer_Release(taken->views + --taken->count);
}

static PyObject *not_definite; /* numpy.linalg.LinAlgError */

PyObject *nothing(Taken *taken)
{
    give_back(taken);
    Py_RETURN_NONE;
}

PyObject *nothing_or(Taken *taken, int failed)
{
    give_back(taken);
    if (!failed)
        Py_RETURN_NONE;
    PyErr_SetString(not_definite, "the matrix is not positive definite");
    return NULL;
}

int find_error(void)
{
    PyObject *linalg = PyImport_ImportModule("numpy.linalg");
    if (!linalg)
        return -1;
    Py_XSETREF(not_definite, PyObject_GetAttrString(linalg, "LinAlgError"));
    Py_DECREF(linalg);
    return not_definite ? 0 : -1;
}
