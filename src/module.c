/* vnect_ros.native: what vnect_ros/native.pyi declares, over NumPy's arrays by the buffer protocol. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "native.h"

#include <string.h>

#define MAX_VIEWS 12

typedef struct {
    PyObject_HEAD
    Body body;
} BodyObject;

/* The arrays of a call, to be given back at its end. */
typedef struct {
    Py_buffer views[MAX_VIEWS];
    int count;
} Views;

static PyObject *not_definite; /* numpy.linalg.LinAlgError */

static void *array_of(Views *views, PyObject *object, Py_ssize_t count, const char *type,
                      size_t size, int writable)
{
    Py_buffer *view = views->views + views->count;
    int flags = PyBUF_C_CONTIGUOUS | PyBUF_FORMAT | (writable ? PyBUF_WRITABLE : 0);
    if (PyObject_GetBuffer(object, view, flags) < 0)
        return NULL;
    views->count++;
    if (view->itemsize != (Py_ssize_t)size || !view->format || strcmp(view->format, type) ||
        (count >= 0 && view->len != count * (Py_ssize_t)size)) {
        PyErr_Format(PyExc_ValueError, "got %zd bytes of type '%s', accepted: %zd items of type '%s'",
                     view->len, view->format ? view->format : "B", count, type);
        return NULL;
    }
    return view->buf;
}

/* float64, contiguous; of `count` items unless that is negative. */
static double *doubles(Views *views, PyObject *object, Py_ssize_t count, int writable)
{
    return array_of(views, object, count, "d", sizeof(double), writable);
}

static void give_back(Views *views)
{
    while (views->count)
        PyBuffer_Release(views->views + --views->count);
}

/* End a call that returns nothing, or whose error is set. */
static PyObject *nothing(Views *views, int good)
{
    give_back(views);
    if (!good)
        return NULL;
    Py_RETURN_NONE;
}

static int arity(Py_ssize_t given, Py_ssize_t wanted)
{
    if (given == wanted)
        return 1;
    PyErr_Format(PyExc_TypeError, "got %zd arguments, accepted: %zd", given, wanted);
    return 0;
}

static PyObject *nothing_or(int failed)
{
    if (!failed)
        Py_RETURN_NONE;
    PyErr_SetString(not_definite, "the matrix is not positive definite");
    return NULL;
}

/* ---- Body -------------------------------------------------------------------------- */

static int integers(PyObject *object, Py_ssize_t count, long low, Py_ssize_t high, int *out)
{
    PyObject *items = PySequence_Fast(object, "expected a sequence of whole numbers");
    if (!items)
        return 0;
    int good = PySequence_Fast_GET_SIZE(items) == count;
    if (!good)
        PyErr_Format(PyExc_ValueError, "got %zd items, accepted: %zd",
                     PySequence_Fast_GET_SIZE(items), count);
    for (Py_ssize_t i = 0; good && i < count; i++) {
        long value = PyLong_AsLong(PySequence_Fast_GET_ITEM(items, i));
        good = !PyErr_Occurred();
        if (good && (value < low || value >= (high < 0 ? i : high))) {
            PyErr_Format(PyExc_ValueError, "got %ld at place %zd, accepted: from %ld on, below %zd",
                         value, i, low, high < 0 ? i : high);
            good = 0;
        }
        out[i] = (int)value;
    }
    Py_DECREF(items);
    return good;
}

static PyObject *body_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"parents", "axes", "low", "high", "observed", "carriers", "pelvis", NULL};
    PyObject *parents, *axes, *low, *high, *observed, *carriers;
    int pelvis;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "OOOOOOi", names, &parents, &axes, &low, &high,
                                     &observed, &carriers, &pelvis))
        return NULL;
    Py_ssize_t angles = PyObject_Length(parents), points = PyObject_Length(carriers);
    if (angles < 0 || points < 0)
        return NULL;
    if (angles > MAX_ANGLES || points > MAX_POINTS || pelvis < 0 || pelvis >= points) {
        PyErr_Format(PyExc_ValueError, "got %zd angles, %zd points, pelvis %d, accepted: at most %d and %d",
                     angles, points, pelvis, MAX_ANGLES, MAX_POINTS);
        return NULL;
    }
    BodyObject *self = (BodyObject *)type->tp_alloc(type, 0);
    if (!self)
        return NULL;
    Body *body = &self->body;
    body->angles = (int)angles;
    body->points = (int)points;
    body->pelvis = pelvis;
    Views views = {.count = 0};
    const double *axis = NULL, *least = NULL, *most = NULL;
    int good = integers(parents, angles, -1, -1, body->parent) &&
               integers(carriers, points, -1, angles, body->carrier) &&
               integers(observed, angles, 0, 2, body->observed) &&
               (axis = doubles(&views, axes, 3 * angles, 0)) &&
               (least = doubles(&views, low, angles, 0)) &&
               (most = doubles(&views, high, angles, 0));
    if (good) {
        memcpy(body->axis, axis, (size_t)angles * sizeof body->axis[0]);
        memcpy(body->low, least, (size_t)angles * sizeof(double));
        memcpy(body->high, most, (size_t)angles * sizeof(double));
        find_chains(body);
    }
    give_back(&views);
    if (!good)
        Py_CLEAR(self);
    return (PyObject *)self;
}

static PyObject *body_place(BodyObject *self, PyObject *const *args, Py_ssize_t count)
{
    Views views = {.count = 0};
    Body *body = &self->body;
    const double *offset, *place;
    int good = arity(count, 2) && (offset = doubles(&views, args[0], 3 * body->angles, 0)) &&
               (place = doubles(&views, args[1], 3 * body->points, 0));
    if (good) {
        memcpy(body->offset, offset, (size_t)body->angles * sizeof body->offset[0]);
        memcpy(body->place, place, (size_t)body->points * sizeof body->place[0]);
    }
    return nothing(&views, good);
}

static PyObject *body_forward(BodyObject *self, PyObject *const *args, Py_ssize_t count)
{
    Views views = {.count = 0};
    const Body *body = &self->body;
    int nq = ROOT_Q + body->angles;
    const double *q;
    double *points;
    int good = arity(count, 2) && (q = doubles(&views, args[0], nq, 0)) &&
               (points = doubles(&views, args[1], 3 * body->points, 1));
    if (good)
        forward(body, q, points, NULL);
    return nothing(&views, good);
}

static PyObject *body_jacobian(BodyObject *self, PyObject *const *args, Py_ssize_t count)
{
    Views views = {.count = 0};
    const Body *body = &self->body;
    int nq = ROOT_Q + body->angles, nv = ROOT_V + body->angles;
    const double *q;
    double *points, *moves;
    int good = arity(count, 3) && (q = doubles(&views, args[0], nq, 0)) &&
               (points = doubles(&views, args[1], 3 * body->points, 1)) &&
               (moves = doubles(&views, args[2], 3 * body->points * nv, 1));
    if (good)
        forward(body, q, points, moves);
    return nothing(&views, good);
}

static PyObject *body_orientations(BodyObject *self, PyObject *const *args, Py_ssize_t count)
{
    Views views = {.count = 0};
    const Body *body = &self->body;
    const double *q;
    double *out;
    int good = arity(count, 2) && (q = doubles(&views, args[0], ROOT_Q + body->angles, 0)) &&
               (out = doubles(&views, args[1], 4 * body->points, 1));
    if (good)
        orientations(body, q, out);
    return nothing(&views, good);
}

static PyObject *body_integrate(BodyObject *self, PyObject *const *args, Py_ssize_t count)
{
    Views views = {.count = 0};
    const Body *body = &self->body;
    int nq = ROOT_Q + body->angles, nv = ROOT_V + body->angles, limited = 0;
    const double *q, *tangent;
    double *out;
    int good = arity(count, 4) && (q = doubles(&views, args[0], nq, 0)) &&
               (tangent = doubles(&views, args[1], nv, 0)) &&
               (limited = PyObject_IsTrue(args[2])) >= 0 &&
               (out = doubles(&views, args[3], nq, 1));
    if (good)
        integrate(body, q, tangent, limited, out);
    return nothing(&views, good);
}

static PyObject *body_difference(BodyObject *self, PyObject *const *args, Py_ssize_t count)
{
    Views views = {.count = 0};
    const Body *body = &self->body;
    int nq = ROOT_Q + body->angles;
    const double *start, *end;
    double *out;
    int good = arity(count, 3) && (start = doubles(&views, args[0], nq, 0)) &&
               (end = doubles(&views, args[1], nq, 0)) &&
               (out = doubles(&views, args[2], ROOT_V + body->angles, 1));
    if (good)
        difference(body, start, end, out);
    return nothing(&views, good);
}

/* The arrays (rest, rest_weight, expected_q, information), all or the last two None. */
static int priors_of(Views *views, const Body *body, PyObject *const *args, Priors *priors)
{
    int nq = ROOT_Q + body->angles, nv = ROOT_V + body->angles;
    memset(priors, 0, sizeof *priors);
    if (args[1] != Py_None)
        if (!(priors->rest = doubles(views, args[0], body->angles, 0)) ||
            !(priors->rest_weight = doubles(views, args[1], body->angles, 0)))
            return 0;
    if (args[3] != Py_None)
        if (!(priors->expected_q = doubles(views, args[2], nq, 0)) ||
            !(priors->information = doubles(views, args[3], nv * nv, 0)))
            return 0;
    return 1;
}

/* The vectors of the terms [count], none of a joint that is not there. */
static const Vector *vectors_of(Views *views, const Body *body, PyObject *object, int *count)
{
    const Vector *vectors = (const Vector *)doubles(views, object, -1, 0);
    if (!vectors)
        return NULL;
    Py_ssize_t size = views->views[views->count - 1].len;
    *count = (int)(size / (Py_ssize_t)sizeof(Vector));
    int good = size % (Py_ssize_t)sizeof(Vector) == 0;
    for (int v = 0; good && v < *count; v++)
        good = vectors[v].joint >= 0.0 && vectors[v].joint < body->points;
    if (good)
        return vectors;
    PyErr_SetString(PyExc_ValueError, "vectors: accepted: [K, VECTOR_SIZE] of joints that the body has");
    return NULL;
}

static PyObject *body_energy(BodyObject *self, PyObject *const *args, Py_ssize_t count)
{
    Views views = {.count = 0};
    const Body *body = &self->body;
    const double *q, *points;
    const Vector *vectors;
    Priors priors;
    double *agreement, cost = 0.0;
    int size;
    int good = arity(count, 8) && (q = doubles(&views, args[0], ROOT_Q + body->angles, 0)) &&
               (points = doubles(&views, args[1], 3 * body->points, 0)) &&
               (vectors = vectors_of(&views, body, args[2], &size)) &&
               priors_of(&views, body, args + 3, &priors) &&
               (agreement = doubles(&views, args[7], size, 1));
    if (good)
        cost = energy(body, q, points, vectors, size, &priors, agreement);
    give_back(&views);
    return good ? PyFloat_FromDouble(cost) : NULL;
}

static PyObject *body_normal_equations(BodyObject *self, PyObject *const *args, Py_ssize_t count)
{
    Views views = {.count = 0};
    const Body *body = &self->body;
    int nv = ROOT_V + body->angles, size;
    const double *q, *points, *moves, *agreement;
    const Vector *vectors;
    Priors priors;
    double *information, *gradient;
    int good = arity(count, 11) && (q = doubles(&views, args[0], ROOT_Q + body->angles, 0)) &&
               (points = doubles(&views, args[1], 3 * body->points, 0)) &&
               (moves = doubles(&views, args[2], 3 * body->points * nv, 0)) &&
               (vectors = vectors_of(&views, body, args[3], &size)) &&
               priors_of(&views, body, args + 4, &priors) &&
               (agreement = doubles(&views, args[8], size, 0)) &&
               (information = doubles(&views, args[9], nv * nv, 1)) &&
               (gradient = doubles(&views, args[10], nv, 1));
    if (good)
        normal_equations(body, q, points, moves, vectors, size, &priors, agreement, information,
                         gradient);
    return nothing(&views, good);
}

static PyObject *body_newton_step(BodyObject *self, PyObject *const *args, Py_ssize_t count)
{
    Views views = {.count = 0};
    const Body *body = &self->body;
    int nq = ROOT_Q + body->angles, nv = ROOT_V + body->angles;
    const double *q, *information, *gradient;
    double damping, *step, *moved;
    int good = arity(count, 6) && (q = doubles(&views, args[0], nq, 0)) &&
               (information = doubles(&views, args[1], nv * nv, 0)) &&
               (gradient = doubles(&views, args[2], nv, 0)) &&
               ((damping = PyFloat_AsDouble(args[3])) != -1.0 || !PyErr_Occurred()) &&
               (step = doubles(&views, args[4], nv, 1)) &&
               (moved = doubles(&views, args[5], nq, 1));
    int failed = good && newton_step(body, q, information, gradient, damping, step, moved);
    give_back(&views);
    return good ? nothing_or(failed) : NULL;
}

static PyObject *body_predict(BodyObject *self, PyObject *const *args, Py_ssize_t count)
{
    Views views = {.count = 0};
    const Body *body = &self->body;
    int nv = ROOT_V + body->angles;
    const double *moves, *by;
    State state;
    int good = arity(count, 6) && (moves = doubles(&views, args[0], 3 * body->points * nv, 0)) &&
               (by = doubles(&views, args[1], sizeof(Advance) / sizeof(double), 0)) &&
               (state.velocity = doubles(&views, args[2], nv, 1)) &&
               (state.covariance = doubles(&views, args[3], nv * nv, 1)) &&
               (state.cross = doubles(&views, args[4], nv * nv, 1)) &&
               (state.speed = doubles(&views, args[5], nv * nv, 1));
    int failed = good && predict(body, moves, (const Advance *)by, &state);
    give_back(&views);
    return good ? nothing_or(failed) : NULL;
}

static PyObject *body_correct(BodyObject *self, PyObject *const *args, Py_ssize_t count)
{
    Views views = {.count = 0};
    const Body *body = &self->body;
    int nq = ROOT_Q + body->angles, nv = ROOT_V + body->angles;
    const double *q, *moved, *information, *prior;
    double jitter;
    State state;
    int good = arity(count, 9) && (q = doubles(&views, args[0], nq, 0)) &&
               (moved = doubles(&views, args[1], nv, 0)) &&
               (information = doubles(&views, args[2], nv * nv, 0)) &&
               (prior = doubles(&views, args[3], nv * nv, 0)) &&
               ((jitter = PyFloat_AsDouble(args[4])) != -1.0 || !PyErr_Occurred()) &&
               (state.velocity = doubles(&views, args[5], nv, 1)) &&
               (state.covariance = doubles(&views, args[6], nv * nv, 1)) &&
               (state.cross = doubles(&views, args[7], nv * nv, 1)) &&
               (state.speed = doubles(&views, args[8], nv * nv, 1));
    int failed = good && correct(body, q, moved, information, prior, jitter, &state);
    give_back(&views);
    return good ? nothing_or(failed) : NULL;
}

static PyObject *body_point_variance(BodyObject *self, PyObject *const *args, Py_ssize_t count)
{
    Views views = {.count = 0};
    const Body *body = &self->body;
    int nv = ROOT_V + body->angles;
    const double *moves, *covariance;
    double *out;
    int good = arity(count, 3) && (moves = doubles(&views, args[0], 3 * body->points * nv, 0)) &&
               (covariance = doubles(&views, args[1], nv * nv, 0)) &&
               (out = doubles(&views, args[2], 3 * body->points, 1));
    if (good)
        point_variance(body, moves, covariance, out);
    return nothing(&views, good);
}

#define METHOD(name) {#name, (PyCFunction)(void (*)(void))body_##name, METH_FASTCALL, NULL}
static PyMethodDef body_methods[] = {
    METHOD(place), METHOD(forward), METHOD(jacobian), METHOD(orientations), METHOD(integrate),
    METHOD(difference), METHOD(energy), METHOD(normal_equations), METHOD(newton_step),
    METHOD(predict), METHOD(correct), METHOD(point_variance), {NULL, NULL, 0, NULL},
};

static PyTypeObject body_type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "vnect_ros.native.Body",
    .tp_basicsize = sizeof(BodyObject),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_new = body_new,
    .tp_methods = body_methods,
};

/* ---- the module -------------------------------------------------------------------- */

static PyObject *module_inverse(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    (void)self;
    Views views = {.count = 0};
    Py_ssize_t size = count ? PyObject_Length(args[0]) : 0;
    const double *matrix;
    double jitter, *out;
    if (size < 0 || !arity(count, 3))
        return NULL;
    if (size > MAX_NV) {
        PyErr_Format(PyExc_ValueError, "got a matrix of %zd rows, accepted: at most %d", size, MAX_NV);
        return NULL;
    }
    int good = (matrix = doubles(&views, args[0], size * size, 0)) &&
               ((jitter = PyFloat_AsDouble(args[1])) != -1.0 || !PyErr_Occurred()) &&
               (out = doubles(&views, args[2], size * size, 1));
    int failed = good && inverse((int)size, matrix, jitter, out);
    give_back(&views);
    return good ? nothing_or(failed) : NULL;
}

static PyObject *module_quaternion(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    (void)self;
    Views views = {.count = 0};
    const double *rotation;
    double *out;
    int good = arity(count, 2) && (rotation = doubles(&views, args[0], 9, 0)) &&
               (out = doubles(&views, args[1], 4, 1));
    if (good)
        quaternion_of(rotation, out);
    return nothing(&views, good);
}

static PyObject *module_root_position(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    (void)self;
    Views views = {.count = 0};
    const double *local, *rays, *weight, *limits;
    double *out;
    Py_ssize_t size = count == 5 ? PyObject_Length(args[2]) : 0;
    if (size < 0)
        return NULL;
    if (size > MAX_POINTS) {
        PyErr_Format(PyExc_ValueError, "got %zd joints, accepted: at most %d", size, MAX_POINTS);
        return NULL;
    }
    int good = arity(count, 5) && (local = doubles(&views, args[0], 3 * size, 0)) &&
               (rays = doubles(&views, args[1], 2 * size, 0)) &&
               (weight = doubles(&views, args[2], size, 0)) &&
               (limits = doubles(&views, args[3], sizeof(RootLimits) / sizeof(double), 0)) &&
               (out = doubles(&views, args[4], 3, 1));
    int open = good && root_position((int)size, local, rays, weight, (const RootLimits *)limits, out);
    give_back(&views);
    return good ? PyBool_FromLong(!open) : NULL;
}

static int execute(PyObject *module)
{
    PyObject *linalg = PyImport_ImportModule("numpy.linalg");
    if (!linalg)
        return -1;
    Py_XSETREF(not_definite, PyObject_GetAttrString(linalg, "LinAlgError"));
    Py_DECREF(linalg);
    if (!not_definite || PyType_Ready(&body_type) < 0)
        return -1;
    Py_INCREF(&body_type);
    if (PyModule_AddObject(module, "Body", (PyObject *)&body_type) < 0)
        return -1;
    if (PyModule_AddIntConstant(module, "VECTOR_SIZE", sizeof(Vector) / sizeof(double)) < 0 ||
        PyModule_AddIntMacro(module, PLACE) < 0 || PyModule_AddIntMacro(module, RELATIVE) < 0 ||
        PyModule_AddIntMacro(module, RAY) < 0)
        return -1;
    return 0;
}

static PyMethodDef methods[] = {
    {"inverse", (PyCFunction)(void (*)(void))module_inverse, METH_FASTCALL, NULL},
    {"root_position", (PyCFunction)(void (*)(void))module_root_position, METH_FASTCALL, NULL},
    {"quaternion", (PyCFunction)(void (*)(void))module_quaternion, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot slots[] = {{Py_mod_exec, execute}, {0, NULL}};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "vnect_ros.native",
    .m_doc = "The arithmetic of the fit; see native.pyi.",
    .m_methods = methods,
    .m_slots = slots,
};

PyMODINIT_FUNC PyInit_native(void)
{
    return PyModuleDef_Init(&definition);
}
