/* vnect_ros.native.Body, which vnect_ros/native.pyi declares. */
#include "body_type.h"

#include "arguments.h"
#include "native.h"

#include <string.h>

#define NQ(body) (ROOT_Q + (body)->angles)
#define NV(body) (ROOT_V + (body)->angles)

typedef struct {
    PyObject_HEAD
    Body body;
} BodyObject;

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

PyTypeObject body_type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "vnect_ros.native.Body",
    .tp_basicsize = sizeof(BodyObject),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_new = body_new,
    .tp_methods = body_methods,
};
