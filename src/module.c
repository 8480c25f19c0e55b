/* vnect_ros.native: what vnect_ros/native.pyi declares besides Body. */
#include "arguments.h"
#include "body_type.h"
#include "native.h"

#define FUNCTION(name)                                                                         \
    static PyObject *module_##name(PyObject *Py_UNUSED(self), PyObject *const *args, Py_ssize_t given)

/* The length of an argument; -1 with an error set where it has none, or it is above the limit. */
static Py_ssize_t length_of(PyObject *const *args, Py_ssize_t given, Py_ssize_t place, Py_ssize_t limit)
{
    Py_ssize_t length = given > place ? PyObject_Length(args[place]) : 0;
    if (length <= limit)
        return length;
    PyErr_Format(PyExc_ValueError, "got an array of length %zd, accepted: at most %zd", length, limit);
    return -1;
}

/* Declares `size`, the length of the argument at a place, and leaves the function without one. */
#define SIZE_OF(place, limit)                                  \
    Py_ssize_t size = length_of(args, given, place, limit);    \
    if (size < 0)                                              \
        return NULL

FUNCTION(inverse)
{
    const double *matrix;
    double jitter, *out;
    SIZE_OF(0, MAX_NV);
    TAKE(IN(matrix, size * size), NUMBER(jitter), OUT(out, size * size));
    return nothing_or(&taken, inverse((int)size, matrix, jitter, out));
}

FUNCTION(quaternion)
{
    const double *rotation;
    double *out;
    TAKE(IN(rotation, 9), OUT(out, 4));
    quaternion_of(rotation, out);
    return nothing(&taken);
}

FUNCTION(root_transform)
{
    const double *q;
    double *out;
    TAKE(IN(q, ANY_COUNT), OUT(out, 16));
    if (taken.views[0].len < (Py_ssize_t)(ROOT_Q * sizeof(double))) {
        give_back(&taken);
        PyErr_SetString(PyExc_ValueError, "accepted: a configuration");
        return NULL;
    }
    root_transform(q, out);
    return nothing(&taken);
}

FUNCTION(root_position)
{
    const double *local, *rays, *weight;
    const RootLimits *limits;
    double *out;
    SIZE_OF(2, MAX_POINTS);
    TAKE(IN(local, 3 * size), IN(rays, 2 * size), IN(weight, size),
         IN(limits, DOUBLES(RootLimits)), OUT(out, 3));
    int open = root_position((int)size, local, rays, weight, limits, out);
    give_back(&taken);
    return PyBool_FromLong(!open);
}

FUNCTION(measure)
{
    const double *given_local, *given_confidence;
    double largest, *local, *rays, *confidence;
    int pelvis;
    SIZE_OF(1, MAX_POINTS);
    TAKE(IN(given_local, 3 * size), IN(given_confidence, size), BELOW(pelvis, size),
         NUMBER(largest), OUT(local, 3 * size), OUT(rays, 2 * size), OUT(confidence, size));
    int seen = measure((int)size, pelvis, largest, given_local, given_confidence, local, rays,
                       confidence);
    give_back(&taken);
    return PyLong_FromLong(seen);
}

FUNCTION(with_lengths)
{
    const double *joints, *lengths;
    const int64_t *parents;
    double *out;
    SIZE_OF(1, MAX_POINTS);
    TAKE(IN(joints, 3 * size), IN(lengths, size), INDICES_IN(parents, size), OUT(out, 3 * size));
    with_lengths((int)size, parents, joints, lengths, out);
    return nothing(&taken);
}

FUNCTION(length_along)
{
    const double *weight, *seen, *fitted, *lengths;
    const int64_t *parents;
    double along, whole;
    SIZE_OF(0, MAX_POINTS);
    TAKE(IN(weight, size), IN(seen, 3 * size), IN(fitted, 3 * size), IN(lengths, size),
         INDICES_IN(parents, size));
    length_along((int)size, parents, weight, seen, fitted, lengths, &along, &whole);
    give_back(&taken);
    return Py_BuildValue("dd", along, whole);
}

FUNCTION(gate)
{
    SIZE_OF(2, MAX_POINTS);
    Seen seen = {.count = (int)size};
    const double *points, *variance, *lengths;
    const Gates *gates;
    Limbs limbs;
    double *local;
    uint8_t *off, *exchanged;
    int pelvis;
    TAKE(IN(seen.local, 3 * size), IN(seen.rays, 2 * size), IN(seen.confidence, size),
         IN(points, 3 * size), IN(variance, 3 * size), IN(lengths, size), BELOW(pelvis, size),
         INDICES_IN(limbs.parents, size), INDICES_IN(limbs.mirror, size),
         IN(limbs.members, 2 * size), IN(limbs.size_weights, size), IN(gates, DOUBLES(Gates)),
         OUT(local, 3 * size), FLAGS_OUT(off, 2 * size), FLAGS_OUT(exchanged, 4));
    int any = gate(&seen, points, variance, lengths, pelvis, &limbs, gates, local, off, exchanged);
    give_back(&taken);
    return PyBool_FromLong(any);
}

FUNCTION(weigh)
{
    const Vector *vectors;
    const double *weight, *target;
    double scale, bound;
    Vector *out;
    SIZE_OF(0, PY_SSIZE_T_MAX / (Py_ssize_t)sizeof(Vector));
    Py_ssize_t whole = size * (Py_ssize_t)DOUBLES(Vector);
    TAKE(IN(vectors, whole), MAYBE(weight, size), NUMBER(scale), NUMBER(bound),
         IN(target, ANY_COUNT), OUT(out, whole));
    Py_ssize_t targets = taken.views[weight ? 2 : 1].len / (Py_ssize_t)sizeof(double);
    if (targets > 4 * size || (size && targets % size)) {
        give_back(&taken);
        PyErr_Format(PyExc_ValueError, "target: got %zd items, accepted: [%zd, 4] or less", targets, size);
        return NULL;
    }
    weigh(vectors, (int)size, weight, scale, bound, target, size ? (int)(targets / size) : 0, out);
    return nothing(&taken);
}

FUNCTION(residual)
{
    const double *projected, *pixels, *confidence;
    const uint8_t *rejected;
    double *shown;
    SIZE_OF(2, MAX_POINTS);
    TAKE(IN(projected, 2 * size), IN(pixels, 2 * size), IN(confidence, size),
         FLAGS_IN(rejected, size), OUT(shown, 2 * size));
    double found = residual((int)size, projected, pixels, confidence, rejected, shown);
    give_back(&taken);
    return PyFloat_FromDouble(found);
}

FUNCTION(beyond)
{
    const double *points, *last, *velocity;
    const Bounds *bounds;
    double *out;
    SIZE_OF(0, MAX_POINTS);
    TAKE(IN(points, 3 * size), IN(last, 3 * size), IN(velocity, 3 * size),
         IN(bounds, DOUBLES(Bounds)), OUT(out, size));
    double most = beyond((int)size, points, last, velocity, bounds, out);
    give_back(&taken);
    return PyFloat_FromDouble(most);
}

/* Takes heat [maps, h, w]; leaves the function where that is something else. */
static int heat_of(Taken *taken, Heat *heat, int height, int width)
{
    Py_ssize_t cells = (Py_ssize_t)height * width;
    Py_ssize_t items = taken->views[0].len / (Py_ssize_t)sizeof(float);
    heat->height = height;
    heat->width = width;
    heat->maps = cells ? (int)(items / cells) : 0;
    if (cells && width <= MAX_CELLS && items % cells == 0 && heat->maps <= MAX_POINTS)
        return 1;
    PyErr_Format(PyExc_ValueError, "got %zd cells, accepted: at most %d maps [%d, %d], no wider than %d",
                 items, MAX_POINTS, height, width, MAX_CELLS);
    give_back(taken);
    return 0;
}

/* Whether indices [count] are all below a limit. */
static int are_below(Taken *taken, const int64_t *indices, Py_ssize_t count, Py_ssize_t limit)
{
    for (Py_ssize_t i = 0; i < count; i++)
        if (indices[i] < 0 || indices[i] >= limit) {
            PyErr_Format(PyExc_ValueError, "got index %lld, accepted: from 0 on, below %zd",
                         (long long)indices[i], limit);
            give_back(taken);
            return 0;
        }
    return 1;
}

FUNCTION(one_euro)
{
    const double *values;
    double *value, *speed;
    Smoothing by = {.lever_m = 1.0};
    TAKE(IN(values, ANY_COUNT), NUMBER(by.dt_s), NUMBER(by.speed_cutoff_hz),
         NUMBER(by.min_cutoff_hz), NUMBER(by.beta), OUT(value, ANY_COUNT), OUT(speed, ANY_COUNT));
    const Py_buffer *views = taken.views;
    if (views[1].len != views[0].len || views[2].len != views[0].len) {
        give_back(&taken);
        PyErr_SetString(PyExc_ValueError, "accepted: values and a state of the same size");
        return NULL;
    }
    one_euro((int)(views[0].len / (Py_ssize_t)sizeof(double)), values, &by, value, speed);
    return nothing(&taken);
}

FUNCTION(maxima)
{
    Heat heat;
    Prior prior;
    const int64_t *pair;
    int64_t *cells;
    double cost, radius;
    int height, width;
    TAKE(FLOATS_IN(heat.values, ANY_COUNT), BELOW(height, INT_MAX), BELOW(width, INT_MAX),
         FLOATS_MAYBE(prior.across, ANY_COUNT), FLOATS_MAYBE(prior.down, ANY_COUNT),
         NUMBER(prior.hysteresis), WHOLES_IN(pair, ANY_COUNT), NUMBER(cost), NUMBER(radius),
         WHOLES_OUT(cells, ANY_COUNT));
    const Py_buffer *views = taken.views, *last = views + taken.count - 1;
    Py_ssize_t pairs = last[-1].len / (Py_ssize_t)(2 * sizeof(int64_t));
    if (!heat_of(&taken, &heat, height, width) || !are_below(&taken, pair, 2 * pairs, heat.maps))
        return NULL;
    int has_prior = prior.across && prior.down;
    if (last->len != heat.maps * (Py_ssize_t)sizeof(int64_t) ||
        (has_prior && (views[1].len != heat.maps * width * (Py_ssize_t)sizeof(float) ||
                       views[2].len != heat.maps * height * (Py_ssize_t)sizeof(float)))) {
        give_back(&taken);
        PyErr_Format(PyExc_ValueError, "accepted: a prior and cells of %d maps", heat.maps);
        return NULL;
    }
    if (!has_prior)
        prior.across = prior.down = NULL;
    maxima(&heat, &prior, (int)pairs, pair, cost, radius, cells);
    return nothing(&taken);
}

FUNCTION(tops)
{
    Heat heat;
    const int64_t *maps, *cells;
    double lowest, largest_gain, *places, *heights;
    int height, width;
    SIZE_OF(3, INT_MAX);
    TAKE(FLOATS_IN(heat.values, ANY_COUNT), BELOW(height, INT_MAX), BELOW(width, INT_MAX),
         WHOLES_IN(maps, size), WHOLES_IN(cells, size), NUMBER(lowest), NUMBER(largest_gain),
         OUT(places, 2 * size), OUT(heights, size));
    if (!heat_of(&taken, &heat, height, width) || !are_below(&taken, maps, size, heat.maps) ||
        !are_below(&taken, cells, size, (Py_ssize_t)height * width))
        return NULL;
    tops(&heat, (int)size, maps, cells, lowest, largest_gain, places, heights);
    return nothing(&taken);
}

FUNCTION(peaks)
{
    Heat heat;
    int64_t *maps, *cells;
    double lowest;
    int height, width;
    SIZE_OF(4, INT_MAX);
    TAKE(FLOATS_IN(heat.values, ANY_COUNT), BELOW(height, INT_MAX), BELOW(width, INT_MAX),
         NUMBER(lowest), WHOLES_OUT(maps, size), WHOLES_OUT(cells, size));
    if (!heat_of(&taken, &heat, height, width))
        return NULL;
    int count = peaks(&heat, lowest, (int)size, maps, cells);
    give_back(&taken);
    return PyLong_FromLong(count);
}

static int execute(PyObject *module)
{
    if (find_error() < 0 || PyType_Ready(&body_type) < 0)
        return -1;
    Py_INCREF(&body_type);
    if (PyModule_AddObject(module, "Body", (PyObject *)&body_type) < 0)
        return -1;
    if (PyModule_AddIntConstant(module, "VECTOR_SIZE", DOUBLES(Vector)) < 0 ||
        PyModule_AddIntMacro(module, PLACE) < 0 || PyModule_AddIntMacro(module, RELATIVE) < 0 ||
        PyModule_AddIntMacro(module, RAY) < 0)
        return -1;
    return 0;
}

#undef FUNCTION
#define FUNCTION(name) {#name, (PyCFunction)(void (*)(void))module_##name, METH_FASTCALL, NULL}
static PyMethodDef methods[] = {
    FUNCTION(inverse), FUNCTION(quaternion), FUNCTION(root_transform), FUNCTION(root_position),
    FUNCTION(measure), FUNCTION(with_lengths), FUNCTION(length_along), FUNCTION(gate),
    FUNCTION(weigh), FUNCTION(residual), FUNCTION(beyond), FUNCTION(one_euro), FUNCTION(maxima),
    FUNCTION(tops), FUNCTION(peaks), {NULL, NULL, 0, NULL},
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
