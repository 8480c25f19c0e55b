/* The body's tree: places, derivatives and orientations, and the manifold of its configurations. */
#include "native.h"

#include <math.h>
#include <string.h>

/* Below this squared angle series take the place of quotients that cancel [rad^2]. */
#define SMALL 0.0625

typedef struct {
    double rotation[9], origin[3];
} Link;

static void cross(const double *a, const double *b, double *out)
{
    out[0] = a[1] * b[2] - a[2] * b[1];
    out[1] = a[2] * b[0] - a[0] * b[2];
    out[2] = a[0] * b[1] - a[1] * b[0];
}

static double dot(const double *a, const double *b)
{
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

/* out = r v */
static void turn(const double *r, const double *v, double *out)
{
    for (int i = 0; i < 3; i++)
        out[i] = dot(r + 3 * i, v);
}

/* out = r^T v */
static void turn_back(const double *r, const double *v, double *out)
{
    for (int i = 0; i < 3; i++)
        out[i] = r[i] * v[0] + r[3 + i] * v[1] + r[6 + i] * v[2];
}

/* out = a b of [3, 3] matrices */
static void times(const double *a, const double *b, double *out)
{
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++)
            out[3 * i + j] = a[3 * i] * b[j] + a[3 * i + 1] * b[3 + j] + a[3 * i + 2] * b[6 + j];
}

static void rotation_of(const double *quaternion, double *out)
{
    double x = quaternion[0], y = quaternion[1], z = quaternion[2], w = quaternion[3];
    out[0] = 1.0 - 2.0 * (y * y + z * z);
    out[1] = 2.0 * (x * y - z * w);
    out[2] = 2.0 * (x * z + y * w);
    out[3] = 2.0 * (x * y + z * w);
    out[4] = 1.0 - 2.0 * (x * x + z * z);
    out[5] = 2.0 * (y * z - x * w);
    out[6] = 2.0 * (x * z - y * w);
    out[7] = 2.0 * (y * z + x * w);
    out[8] = 1.0 - 2.0 * (x * x + y * y);
}

void quaternion_of(const double *m, double *out)
{
    double trace = m[0] + m[4] + m[8];
    if (trace > 0.0) {
        double root = sqrt(trace + 1.0), scale = 0.5 / root;
        out[0] = (m[7] - m[5]) * scale;
        out[1] = (m[2] - m[6]) * scale;
        out[2] = (m[3] - m[1]) * scale;
        out[3] = 0.5 * root;
    } else {
        int i = m[4] > m[0] ? 1 : 0;
        if (m[8] > m[4 * i])
            i = 2;
        int j = (i + 1) % 3, k = (j + 1) % 3;
        double root = sqrt(m[4 * i] - m[4 * j] - m[4 * k] + 1.0), scale = 0.5 / root;
        out[i] = 0.5 * root;
        out[j] = (m[3 * j + i] + m[3 * i + j]) * scale;
        out[k] = (m[3 * k + i] + m[3 * i + k]) * scale;
        out[3] = (m[3 * k + j] - m[3 * j + k]) * scale;
    }
    double scale = 1.0 / sqrt(dot(out, out) + out[3] * out[3]);
    for (int i = 0; i < 4; i++)
        out[i] *= scale;
}

void find_chains(Body *body)
{
    for (int j = 0; j < body->points; j++) {
        int reversed[MAX_ANGLES], count = 0;
        for (int i = body->carrier[j]; i >= 0; i = body->parent[i])
            reversed[count++] = i;
        for (int c = 0; c < ROOT_V; c++)
            body->chain[j][c] = c;
        for (int c = 0; c < count; c++)
            body->chain[j][ROOT_V + c] = ROOT_V + reversed[count - 1 - c];
        body->chain_length[j] = ROOT_V + count;
    }
}

/* Where each angle's link is; its axis [3] in the camera's axes. */
static void place_links(const Body *body, const double *q, Link *root, Link *links, double *axes)
{
    rotation_of(q + 3, root->rotation);
    memcpy(root->origin, q, sizeof root->origin);
    for (int i = 0; i < body->angles; i++) {
        const Link *parent = body->parent[i] < 0 ? root : links + body->parent[i];
        const double *a = body->axis[i];
        double s = sin(q[ROOT_Q + i]), c = cos(q[ROOT_Q + i]), d = 1.0 - c, shift[3];
        double about[9] = {
            c + d * a[0] * a[0], d * a[0] * a[1] - s * a[2], d * a[0] * a[2] + s * a[1],
            d * a[0] * a[1] + s * a[2], c + d * a[1] * a[1], d * a[1] * a[2] - s * a[0],
            d * a[0] * a[2] - s * a[1], d * a[1] * a[2] + s * a[0], c + d * a[2] * a[2],
        };
        times(parent->rotation, about, links[i].rotation);
        turn(parent->rotation, body->offset[i], shift);
        for (int k = 0; k < 3; k++)
            links[i].origin[k] = parent->origin[k] + shift[k];
        if (axes)
            turn(parent->rotation, a, axes + 3 * i);
    }
}

void forward(const Body *body, const double *q, double *points, double *moves, double *quaternions)
{
    Link root, links[MAX_ANGLES];
    double axes[MAX_ANGLES * 3];
    int nv = ROOT_V + body->angles;
    place_links(body, q, &root, links, moves ? axes : NULL);
    for (int j = 0; j < body->points; j++) {
        const Link *link = body->carrier[j] < 0 ? &root : links + body->carrier[j];
        double shift[3], *point = points + 3 * j;
        turn(link->rotation, body->place[j], shift);
        for (int k = 0; k < 3; k++)
            point[k] = link->origin[k] + shift[k];
        if (quaternions)
            quaternion_of(link->rotation, quaternions + 4 * j);
    }
    if (!moves)
        return;
    memset(moves, 0, (size_t)(body->points * 3 * nv) * sizeof(double));
    for (int j = 0; j < body->points; j++) {
        const double *point = points + 3 * j;
        double *rows = moves + (size_t)j * 3 * nv, arm[3], way[3];
        for (int k = 0; k < 3; k++)
            arm[k] = point[k] - root.origin[k];
        for (int c = 0; c < 3; c++) {
            double axis[3] = {root.rotation[c], root.rotation[3 + c], root.rotation[6 + c]};
            cross(axis, arm, way);
            for (int k = 0; k < 3; k++) {
                rows[k * nv + c] = axis[k];
                rows[k * nv + 3 + c] = way[k];
            }
        }
        for (int c = ROOT_V; c < body->chain_length[j]; c++) {
            int i = body->chain[j][c] - ROOT_V;
            for (int k = 0; k < 3; k++)
                arm[k] = point[k] - links[i].origin[k];
            cross(axes + 3 * i, arm, way);
            for (int k = 0; k < 3; k++)
                rows[k * nv + ROOT_V + i] = way[k];
        }
    }
}

void root_transform(const double *q, double *out)
{
    double rotation[9];
    rotation_of(q + 3, rotation);
    for (int i = 0; i < 3; i++) {
        memcpy(out + 4 * i, rotation + 3 * i, 3 * sizeof(double));
        out[4 * i + 3] = q[i];
        out[12 + i] = 0.0;
    }
    out[15] = 1.0;
}

void put_within_limits(const Body *body, double *q)
{
    for (int i = 0; i < body->angles; i++) {
        double *angle = q + ROOT_Q + i;
        if (*angle < body->low[i])
            *angle = body->low[i];
        if (*angle > body->high[i])
            *angle = body->high[i];
    }
}

/* out = v + b w x v + c w x (w x v) */
static void twist(const double *w, const double *v, double b, double c, double *out)
{
    double once[3], twice[3];
    cross(w, v, once);
    cross(w, once, twice);
    for (int k = 0; k < 3; k++)
        out[k] = v[k] + b * once[k] + c * twice[k];
}

void integrate(const Body *body, const double *q, const double *tangent, int limited, double *out)
{
    const double *v = tangent, *w = tangent + 3;
    double squared = dot(w, w), angle = sqrt(squared), b, c, half, moved[3], shift[3], rotation[9];
    if (squared < SMALL) {
        b = 0.5 - squared / 24.0 * (1.0 - squared / 30.0 * (1.0 - squared / 56.0 *
            (1.0 - squared / 90.0)));
        c = 1.0 / 6.0 - squared / 120.0 * (1.0 - squared / 42.0 * (1.0 - squared / 72.0 *
            (1.0 - squared / 110.0)));
        half = 0.5 - squared / 48.0 * (1.0 - squared / 80.0 * (1.0 - squared / 168.0 *
               (1.0 - squared / 288.0)));
    } else {
        b = (1.0 - cos(angle)) / squared;
        c = (angle - sin(angle)) / (squared * angle);
        half = sin(angle / 2.0) / angle;
    }
    twist(w, v, b, c, moved);
    rotation_of(q + 3, rotation);
    turn(rotation, moved, shift);
    for (int k = 0; k < 3; k++)
        out[k] = q[k] + shift[k];
    double x = half * w[0], y = half * w[1], z = half * w[2], s = cos(angle / 2.0);
    const double *r = q + 3;
    double turned[4] = {
        r[3] * x + r[0] * s + r[1] * z - r[2] * y,
        r[3] * y - r[0] * z + r[1] * s + r[2] * x,
        r[3] * z + r[0] * y - r[1] * x + r[2] * s,
        r[3] * s - r[0] * x - r[1] * y - r[2] * z,
    };
    double scale = 1.0 / sqrt(dot(turned, turned) + turned[3] * turned[3]);
    for (int k = 0; k < 4; k++)
        out[3 + k] = turned[k] * scale;
    for (int i = 0; i < body->angles; i++)
        out[ROOT_Q + i] = q[ROOT_Q + i] + tangent[ROOT_V + i];
    if (limited)
        put_within_limits(body, out);
}

/* (1 - angle / 2 cot(angle / 2)) / angle^2 */
static double of_inverse(double squared)
{
    if (squared < SMALL)
        return 1.0 / 12.0 + squared * (1.0 / 720.0 + squared * (1.0 / 30240.0 + squared *
               (1.0 / 1209600.0 + squared / 47900160.0)));
    double half = sqrt(squared) / 2.0;
    return (1.0 - half * cos(half) / sin(half)) / squared;
}

/* [6] the root's part: the logarithm of the rigid motion from start to end. */
static void root_difference(const double *start, const double *end, double *out)
{
    const double *p = start + 3, *r = end + 3;
    double rotation[9], shift[3], between[3];
    double turned[4] = {
        p[3] * r[0] - p[0] * r[3] - p[1] * r[2] + p[2] * r[1],
        p[3] * r[1] + p[0] * r[2] - p[1] * r[3] - p[2] * r[0],
        p[3] * r[2] - p[0] * r[1] + p[1] * r[0] - p[2] * r[3],
        p[3] * r[3] + p[0] * r[0] + p[1] * r[1] + p[2] * r[2],
    };
    double sine = sqrt(dot(turned, turned)), sign = turned[3] < 0.0 ? -1.0 : 1.0;
    double cosine = fabs(turned[3]), factor;
    if (sine * sine < 1e-12) /* atan2(s, c) / s, c near 1 */
        factor = 2.0 / cosine * (1.0 - sine * sine / (3.0 * cosine * cosine));
    else
        factor = 2.0 * atan2(sine, cosine) / sine;
    for (int k = 0; k < 3; k++) {
        out[3 + k] = sign * factor * turned[k];
        between[k] = end[k] - start[k];
    }
    rotation_of(p, rotation);
    turn_back(rotation, between, shift);
    twist(out + 3, shift, -0.5, of_inverse(dot(out + 3, out + 3)), out);
}

void difference(const Body *body, const double *start, const double *end, double *out)
{
    root_difference(start, end, out);
    for (int i = 0; i < body->angles; i++)
        out[ROOT_V + i] = end[ROOT_Q + i] - start[ROOT_Q + i];
}

static void skew(const double *v, double *out)
{
    const double m[9] = {0.0, -v[2], v[1], v[2], 0.0, -v[0], -v[1], v[0], 0.0};
    memcpy(out, m, sizeof m);
}

/* The inverse of SE(3)'s right Jacobian: Barfoot, State Estimation for Robotics, 7.86, of -xi. */
void difference_jacobian(const double *start, const double *end, double *out)
{
    double xi[6], p[9], f[9], fp[9], pf[9], ff[9], fpf[9], ffp[9], pff[9], fpff[9], ffpf[9];
    root_difference(start, end, xi);
    for (int k = 0; k < 6; k++)
        xi[k] = -xi[k];
    skew(xi, p);
    skew(xi + 3, f);
    times(f, p, fp);
    times(p, f, pf);
    times(f, f, ff);
    times(fp, f, fpf);
    times(ff, p, ffp);
    times(p, ff, pff);
    times(fpf, f, fpff);
    times(ffp, f, ffpf);
    double s = dot(xi + 3, xi + 3), first, second, third;
    if (s < SMALL) {
        first = 1.0 / 6.0 - s * (1.0 / 120.0 - s * (1.0 / 5040.0 - s * (1.0 / 362880.0 -
                s / 39916800.0)));
        second = 1.0 / 24.0 - s * (1.0 / 720.0 - s * (1.0 / 40320.0 - s * (1.0 / 3628800.0 -
                 s / 479001600.0)));
        third = 1.0 / 120.0 - s * (1.0 / 2520.0 - s * (1.0 / 120960.0 - s / 9979200.0));
    } else {
        double a = sqrt(s), sine = sin(a), cosine = cos(a);
        first = (a - sine) / (s * a);
        second = (s + 2.0 * cosine - 2.0) / (2.0 * s * s);
        third = (2.0 * a - 3.0 * sine + a * cosine) / (2.0 * s * s * a);
    }
    double q[9], inner[9], left[9], block[9], d = of_inverse(s);
    for (int k = 0; k < 9; k++) {
        q[k] = 0.5 * p[k] + first * (fp[k] + pf[k] + fpf[k]) +
               second * (ffp[k] + pff[k] - 3.0 * fpf[k]) + third * (fpff[k] + ffpf[k]);
        inner[k] = (k % 4 == 0) - 0.5 * f[k] + d * ff[k];
    }
    times(inner, q, left);
    times(left, inner, block);
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++) {
            out[6 * i + j] = out[6 * (i + 3) + j + 3] = inner[3 * i + j];
            out[6 * i + j + 3] = -block[3 * i + j];
            out[6 * (i + 3) + j] = 0.0;
        }
}
