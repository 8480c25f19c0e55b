/* vnect_ros.native: what vnect_ros/native.pyi declares. */
#include "arguments.h"
#include "native.h"

#include <string.h>

#define NQ(body) (ROOT_Q + (body)->angles)
#define NV(body) (ROOT_V + (body)->angles)
#define DOUBLES(type) (sizeof(type) / sizeof(double))

typedef struct {
    PyObject_HEAD
    Body body;
} BodyObject;

static PyObject *not_definite; /* numpy.linalg.LinAlgError */

/* End a call that returns nothing. */
static PyObject *nothing(Taken *taken)
{
    give_back(taken);
    Py_RETURN_NONE;
}

static PyObject *nothing_or(Taken *taken, int failed)
{
    if (!failed)
        return nothing(taken);
    give_back(taken);
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

static int fill(Body *body, PyObject *parents, PyObject *observed, PyObject *carriers,
                PyObject *const arrays[3])
{
    Taken taken = {.count = 0};
    const double *axes, *low, *high;
    Py_ssize_t angles = body->angles;
    const Argument wanted[] = {IN(axes, 3 * angles), IN(low, angles), IN(high, angles)};
    if (!integers(parents, angles, -1, -1, body->parent) ||
        !integers(carriers, body->points, -1, angles, body->carrier) ||
        !integers(observed, angles, 0, 2, body->observed) || !take(&taken, arrays, 3, wanted, 3))
        return 0;
    memcpy(body->axis, axes, (size_t)angles * sizeof body->axis[0]);
    memcpy(body->low, low, (size_t)angles * sizeof(double));
    memcpy(body->high, high, (size_t)angles * sizeof(double));
    give_back(&taken);
    find_chains(body);
    return 1;
}

static PyObject *body_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"parents", "axes", "low", "high", "observed", "carriers", "pelvis", NULL};
    PyObject *parents, *arrays[3], *observed, *carriers;
    int pelvis;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "OOOOOOi", names, &parents, arrays, arrays + 1,
                                     arrays + 2, &observed, &carriers, &pelvis))
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
    self->body.angles = (int)angles;
    self->body.points = (int)points;
    self->body.pelvis = pelvis;
    if (!fill(&self->body, parents, observed, carriers, arrays))
        Py_CLEAR(self);
    return (PyObject *)self;
}

#define METHOD(name)                                                                         \
    static PyObject *body_##name(BodyObject *self, PyObject *const *args, Py_ssize_t given)

METHOD(place)
{
    Body *body = &self->body;
    const double *offset, *place;
    TAKE(IN(offset, 3 * body->angles), IN(place, 3 * body->points));
    memcpy(body->offset, offset, (size_t)body->angles * sizeof body->offset[0]);
    memcpy(body->place, place, (size_t)body->points * sizeof body->place[0]);
    return nothing(&taken);
}

METHOD(forward)
{
    const Body *body = &self->body;
    const double *q;
    double *points;
    TAKE(IN(q, NQ(body)), OUT(points, 3 * body->points));
    forward(body, q, points, NULL, NULL);
    return nothing(&taken);
}

METHOD(jacobian)
{
    const Body *body = &self->body;
    const double *q;
    double *points, *moves;
    TAKE(IN(q, NQ(body)), OUT(points, 3 * body->points),
         OUT(moves, 3 * body->points * NV(body)));
    forward(body, q, points, moves, NULL);
    return nothing(&taken);
}

METHOD(integrate)
{
    const Body *body = &self->body;
    const double *q, *tangent;
    double *out;
    int limited;
    TAKE(IN(q, NQ(body)), IN(tangent, NV(body)), YES_OR_NO(limited), OUT(out, NQ(body)));
    integrate(body, q, tangent, limited, out);
    return nothing(&taken);
}

METHOD(difference)
{
    const Body *body = &self->body;
    const double *start, *end;
    double *out;
    TAKE(IN(start, NQ(body)), IN(end, NQ(body)), OUT(out, NV(body)));
    difference(body, start, end, out);
    return nothing(&taken);
}

/* The priors of a call; both of a pair are given, or none. */
#define PRIORS(body, priors)                                                            \
    MAYBE((priors).rest, (body)->angles), MAYBE((priors).rest_weight, (body)->angles),  \
        MAYBE((priors).expected_q, NQ(body)), MAYBE((priors).information, NV(body) * NV(body))

/* How many vectors an array holds; -1 where one is of no joint of the body, or `agreement` is
 * not `times` as long. */
static int vectors_in(Taken *taken, const Body *body, const Py_buffer *array,
                      const Py_buffer *agreement, Py_ssize_t times, Priors *priors)
{
    const Vector *vectors = array->buf;
    Py_ssize_t count = array->len / (Py_ssize_t)sizeof(Vector);
    int good = array->len % (Py_ssize_t)sizeof(Vector) == 0;
    for (Py_ssize_t v = 0; good && v < count; v++)
        good = vectors[v].joint >= 0.0 && vectors[v].joint < body->points;
    if (!priors->rest)
        priors->rest_weight = NULL;
    if (!priors->expected_q)
        priors->information = NULL;
    if (good && agreement->len == times * count * (Py_ssize_t)sizeof(double))
        return (int)count;
    if (good)
        PyErr_Format(PyExc_ValueError, "agreement: accepted: %zd items", times * count);
    else
        PyErr_SetString(PyExc_ValueError,
                        "vectors: accepted: [K, VECTOR_SIZE] of joints that the body has");
    give_back(taken);
    return -1;
}

METHOD(energy)
{
    const Body *body = &self->body;
    const double *q, *points;
    const Vector *vectors;
    Priors priors;
    double *agreement;
    TAKE(IN(q, NQ(body)), IN(points, 3 * body->points), IN(vectors, ANY_COUNT),
         PRIORS(body, priors), OUT(agreement, ANY_COUNT));
    const Py_buffer *views = taken.views;
    int count = vectors_in(&taken, body, views + 2, views + taken.count - 1, 1, &priors);
    if (count < 0)
        return NULL;
    double cost = energy(body, q, points, vectors, count, &priors, agreement);
    give_back(&taken);
    return PyFloat_FromDouble(cost);
}

METHOD(normal_equations)
{
    const Body *body = &self->body;
    const double *q, *points, *moves, *agreement;
    const Vector *vectors;
    Priors priors;
    double *information, *gradient;
    TAKE(IN(q, NQ(body)), IN(points, 3 * body->points), IN(moves, 3 * body->points * NV(body)),
         IN(vectors, ANY_COUNT), PRIORS(body, priors), IN(agreement, ANY_COUNT),
         OUT(information, NV(body) * NV(body)), OUT(gradient, NV(body)));
    const Py_buffer *views = taken.views;
    int count = vectors_in(&taken, body, views + 3, views + taken.count - 3, 1, &priors);
    if (count < 0)
        return NULL;
    normal_equations(body, q, points, moves, vectors, count, &priors, agreement, information,
                     gradient);
    return nothing(&taken);
}

METHOD(newton_step)
{
    const Body *body = &self->body;
    const double *q, *information, *gradient;
    double damping, *step, *moved;
    TAKE(IN(q, NQ(body)), IN(information, NV(body) * NV(body)), IN(gradient, NV(body)),
         NUMBER(damping), OUT(step, NV(body)), OUT(moved, NQ(body)));
    return nothing_or(&taken, newton_step(body, q, information, gradient, damping, step, moved));
}

METHOD(minimise)
{
    const Body *body = &self->body;
    const Vector *vectors;
    Priors priors;
    Search search;
    Fit fit;
    TAKE(OUT(fit.q, NQ(body)), IN(vectors, ANY_COUNT), PRIORS(body, priors),
         NUMBER(search.small_step), NUMBER(search.small_gain), BELOW(search.iterations, INT_MAX),
         OUT(fit.points, 3 * body->points), OUT(fit.information, NV(body) * NV(body)),
         OUT(fit.agreement, ANY_COUNT));
    const Py_buffer *views = taken.views;
    int count = vectors_in(&taken, body, views + 1, views + taken.count - 1, 2, &priors);
    if (count < 0)
        return NULL;
    if (minimise(body, vectors, count, &priors, &search, &fit))
        return nothing_or(&taken, 1);
    give_back(&taken);
    return PyFloat_FromDouble(fit.cost);
}

#define STATE(body, state)                                                       \
    OUT((state).velocity, NV(body)), OUT((state).covariance, NV(body) * NV(body)), \
        OUT((state).cross, NV(body) * NV(body)), OUT((state).speed, NV(body) * NV(body))

METHOD(predict)
{
    const Body *body = &self->body;
    const double *q;
    const Advance *by;
    State state;
    TAKE(IN(q, NQ(body)), IN(by, DOUBLES(Advance)), STATE(body, state));
    return nothing_or(&taken, predict(body, q, by, &state));
}

METHOD(correct)
{
    const Body *body = &self->body;
    const double *q, *moved, *information, *prior;
    double jitter;
    State state;
    TAKE(IN(q, NQ(body)), IN(moved, NV(body)), IN(information, NV(body) * NV(body)),
         IN(prior, NV(body) * NV(body)), NUMBER(jitter), STATE(body, state));
    return nothing_or(&taken, correct(body, q, moved, information, prior, jitter, &state));
}

METHOD(variance)
{
    const Body *body = &self->body;
    const double *q, *covariance;
    double *points, *out, moves[MAX_POINTS * 3 * MAX_NV];
    TAKE(IN(q, NQ(body)), IN(covariance, NV(body) * NV(body)), OUT(points, 3 * body->points),
         OUT(out, 3 * body->points));
    forward(body, q, points, moves, NULL);
    point_variance(body, moves, covariance, out);
    return nothing(&taken);
}

METHOD(describe)
{
    const Body *body = &self->body;
    int points = body->points;
    const double *q, *velocity, *covariance, *unseen_s;
    const Stated *stated;
    Description out;
    TAKE(IN(q, NQ(body)), IN(velocity, NV(body)), IN(covariance, NV(body) * NV(body)),
         IN(unseen_s, points), IN(stated, DOUBLES(Stated)), OUT(out.points, 3 * points),
         OUT(out.quaternions, 4 * points), OUT(out.transform, 16), OUT(out.velocities, 3 * points),
         OUT(out.deviations, 3 * points), OUT(out.mean_deviation, points));
    int finite = describe(body, q, velocity, covariance, unseen_s, stated, &out);
    give_back(&taken);
    return PyBool_FromLong(finite);
}

METHOD(smooth)
{
    const Body *body = &self->body;
    const double *q, *wanted_q;
    const Smoothing *by;
    double *speed, *out;
    TAKE(IN(q, NQ(body)), IN(wanted_q, NQ(body)), IN(by, DOUBLES(Smoothing)),
         OUT(speed, NV(body)), OUT(out, NQ(body)));
    smooth(body, q, wanted_q, by, speed, out);
    return nothing(&taken);
}

#undef METHOD
#define METHOD(name) {#name, (PyCFunction)(void (*)(void))body_##name, METH_FASTCALL, NULL}
static PyMethodDef body_methods[] = {
    METHOD(place), METHOD(forward), METHOD(jacobian), METHOD(integrate),
    METHOD(difference), METHOD(energy), METHOD(normal_equations), METHOD(newton_step),
    METHOD(minimise), METHOD(predict), METHOD(correct), METHOD(variance), METHOD(describe),
    METHOD(smooth), {NULL, NULL, 0, NULL},
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

FUNCTION(inverse)
{
    const double *matrix;
    double jitter, *out;
    Py_ssize_t size = length_of(args, given, 0, MAX_NV);
    if (size < 0)
        return NULL;
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
    Py_ssize_t size = length_of(args, given, 2, MAX_POINTS);
    if (size < 0)
        return NULL;
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
    Py_ssize_t size = length_of(args, given, 1, MAX_POINTS);
    if (size < 0)
        return NULL;
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
    Py_ssize_t size = length_of(args, given, 1, MAX_POINTS);
    if (size < 0)
        return NULL;
    TAKE(IN(joints, 3 * size), IN(lengths, size), INDICES_IN(parents, size), OUT(out, 3 * size));
    with_lengths((int)size, parents, joints, lengths, out);
    return nothing(&taken);
}

FUNCTION(length_along)
{
    const double *weight, *seen, *fitted, *lengths;
    const int64_t *parents;
    double along, whole;
    Py_ssize_t size = length_of(args, given, 0, MAX_POINTS);
    if (size < 0)
        return NULL;
    TAKE(IN(weight, size), IN(seen, 3 * size), IN(fitted, 3 * size), IN(lengths, size),
         INDICES_IN(parents, size));
    length_along((int)size, parents, weight, seen, fitted, lengths, &along, &whole);
    give_back(&taken);
    return Py_BuildValue("dd", along, whole);
}

FUNCTION(gate)
{
    Py_ssize_t size = length_of(args, given, 2, MAX_POINTS);
    if (size < 0)
        return NULL;
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
    Py_ssize_t size = length_of(args, given, 0, PY_SSIZE_T_MAX / (Py_ssize_t)sizeof(Vector));
    if (size < 0)
        return NULL;
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
    Py_ssize_t size = length_of(args, given, 2, MAX_POINTS);
    if (size < 0)
        return NULL;
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
    Py_ssize_t size = length_of(args, given, 0, MAX_POINTS);
    if (size < 0)
        return NULL;
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
    Py_ssize_t size = length_of(args, given, 3, INT_MAX);
    if (size < 0)
        return NULL;
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
    Py_ssize_t size = length_of(args, given, 4, INT_MAX);
    if (size < 0)
        return NULL;
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
