/* The arithmetic of the fit: see vnect_ros/native.pyi for what Python sees of it.
 *
 * All matrices are of doubles, row by row.  N is the number of a body's angles;
 * NQ = 7 + N and NV = 6 + N are the sizes of a configuration and of its tangent.
 * What they mean is said in vnect_ros/body/kinematics.py.
 */
#ifndef VNECT_ROS_NATIVE_H
#define VNECT_ROS_NATIVE_H

#include <stdint.h>
#include <stdlib.h> /* defines __GLIBC__ where that is the C library */

#define ROOT_Q 7
#define ROOT_V 6
#define MAX_ANGLES 58
#define MAX_NV (ROOT_V + MAX_ANGLES)
#define MAX_POINTS 64

/* Compiled twice on x86: wider registers are taken where the processor has them. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && defined(__GLIBC__)
#define FOR_EVERY_PROCESSOR __attribute__((target_clones("arch=haswell", "default")))
#else
#define FOR_EVERY_PROCESSOR
#endif

#define INLINE static inline __attribute__((always_inline))

/* ---- linear.c: symmetric positive definite matrices -------------------------------- */

/* The inverse of matrix [n, n] + jitter * identity, exactly symmetric.  Only the lower
 * triangle is read.  Returns 0, or -1 where that is not positive definite and finite. */
int inverse(int n, const double *matrix, double jitter, double *out);

/* x with matrix x = right.  Returns as `inverse`. */
int solve(int n, const double *matrix, const double *right, double *x);

/* out [n, n] = a^T b. */
void product_of_transposed(int n, const double *a, const double *b, double *out);

/* ---- body.c: the body's tree -------------------------------------------------------- */

typedef struct {
    int angles, points;
    int pelvis;                 /* the point that relative places are relative to */
    int parent[MAX_ANGLES];     /* the angle whose link carries this one's axis; -1: the root */
    double axis[MAX_ANGLES][3]; /* unit, in the parent link's frame */
    double low[MAX_ANGLES], high[MAX_ANGLES];
    int observed[MAX_ANGLES];
    int carrier[MAX_POINTS];    /* the angle whose link carries the point; -1: the root */
    int chain[MAX_POINTS][MAX_NV]; /* the components of the tangent that move the point */
    int chain_length[MAX_POINTS];
    double offset[MAX_ANGLES][3];  /* of the axis from the parent link's origin [m] */
    double place[MAX_POINTS][3];   /* of the point from its link's origin [m] */
} Body;

/* Derive the chains from the parents and carriers. */
void find_chains(Body *body);

/* points [P, 3] at a configuration; where not NULL, moves [P, 3, NV], their derivatives, and
 * quaternions [P, 4] (x, y, z, w) of the links that carry them. */
void forward(const Body *body, const double *q, double *points, double *moves,
             double *quaternions);

/* [4, 4] the root's frame. */
void root_transform(const double *q, double *out);

/* Put angles that are past a limit on it. */
void put_within_limits(const Body *body, double *q);

/* [NQ] q moved along a tangent, its angles put within the limits where `limited`. */
void integrate(const Body *body, const double *q, const double *tangent, int limited, double *out);

/* [NV] the tangent at start that `integrate` takes to end. */
void difference(const Body *body, const double *start, const double *end, double *out);

/* [6, 6] derivative of the root's part of `difference` by the tangent at end. */
void difference_jacobian(const double *start, const double *end, double *out);

/* [4] the quaternion (x, y, z, w) of a rotation [3, 3]. */
void quaternion_of(const double *rotation, double *out);

/* ---- energy.c: the terms' sum ------------------------------------------------------- */

/* A residual vector is  matrix x - target,  x being what its kind says of its joint. */
enum { PLACE, RELATIVE, RAY }; /* p;  p - pelvis;  (x / z, y / z, 1) of p */
typedef struct {
    double kind, joint;
    double bound; /* of the robust kernel: a squared length; 0: no kernel */
    double matrix[4][3];
    double target[4];
} Vector;

/* The summands that look at the configuration alone; NULL where there is none. */
typedef struct {
    const double *rest, *rest_weight;        /* [N] angles, and their information */
    const double *expected_q, *information; /* [NQ], and [NV, NV] in its tangent */
} Priors;

/* out [count]: copies of vectors, for a weight [count] (NULL: 1) and a target [count, width].
 * Matrices and targets are multiplied by the scale and the weight's root; the bound is the
 * weight times bound, 0 without one. */
void weigh(const Vector *vectors, int count, const double *weight, double scale, double bound,
           const double *target, int width, Vector *out);

/* The energy; agreement [count] gets each vector's, 1 for those without a kernel. */
double energy(const Body *body, const double *q, const double *points, const Vector *vectors,
              int count, const Priors *priors, double *agreement);

/* The reweighted information [NV, NV] and gradient [NV]. */
void normal_equations(const Body *body, const double *q, const double *points,
                      const double *moves, const Vector *vectors, int count,
                      const Priors *priors, const double *agreement, double *information,
                      double *gradient);

/* The damped Newton step [NV] and where it leads [NQ], within the limits.  Angles that
 * nothing shows, or that the gradient pushes against a limit, stay.  Returns as `inverse`. */
int newton_step(const Body *body, const double *q, const double *information,
                const double *gradient, double damping, double *step, double *moved);

/* Add weight [3, 3] seen through a point's derivatives to information's lower triangle.
 * The first three components get `outer` in place of `weight`. */
void add_information(const Body *body, int point, const double *moves, const double *weight,
                     const double *outer, double *information);

/* Copy the lower triangle of a matrix [n, n] to the upper one. */
void mirror(int n, double *matrix);

/* ---- solver.c ------------------------------------------------------------------------ */

typedef struct {
    double small_step, small_gain; /* see solver.py */
    int iterations;
} Search;

typedef struct {
    double *q;           /* [NQ] the start, and then the end */
    double *points;      /* [P, 3] */
    double *agreement;   /* [2, count] of the vectors; the second half is scratch */
    double *information; /* [NV, NV] */
    double cost;
} Fit;

/* Find the least energy near a start.  Returns as `inverse`. */
int minimise(const Body *body, const Vector *vectors, int count, const Priors *priors,
             const Search *search, Fit *fit);

/* ---- motion.c: the covariance through time ------------------------------------------ */

typedef struct {
    double *velocity;   /* [NV] */
    double *covariance; /* [NV, NV] of the configuration */
    double *cross;      /* [NV, NV] of configuration and velocity */
    double *speed;      /* [NV, NV] of the velocity */
} State;

typedef struct {
    double dt_s, kept, ahead_s;
    double acceleration, acceleration_per_speed, angle_acceleration;
    double frame_s, max_variance;
} Advance;

/* Advance by a time with nothing seen.  Returns as `inverse`. */
int predict(const Body *body, const double *q, const Advance *by, State *state);

/* Take over a fit that moved the configuration by moved [NV] to q.  Returns as `inverse`. */
int correct(const Body *body, const double *q, const double *moved, const double *information,
            const double *prior, double jitter, State *state);

/* [P, 3] variances of the points along the camera's axes. */
void point_variance(const Body *body, const double *moves, const double *covariance, double *out);

/* [P, 3] velocities of the points for a tangent velocity [NV]. */
void point_velocity(const Body *body, const double *moves, const double *velocity, double *out);

/* ---- pose.c --------------------------------------------------------------------------- */

typedef struct {
    double factor, lasting_m2[3], lasting_depth; /* of the variances, see fitter.py */
    double unseen_m2, unseen_s, max_speed;
} Stated;

typedef struct {
    double *points, *quaternions, *transform; /* [P, 3], [P, 4], [4, 4] */
    double *velocities;                       /* [P, 3], none above max_speed */
    double *deviations, *mean_deviation;      /* [P, 3] along the axes, [P] */
} Description;

/* All that is published of a configuration.  Returns whether it is finite. */
int describe(const Body *body, const double *q, const double *velocity, const double *covariance,
             const double *unseen_s, const Stated *stated, const Description *out);

/* shown [P, 2]: pixels of the points that are seen, projected ones of the others.  Returns the
 * root mean square between both over those that are seen and not rejected, NaN without any. */
double residual(int count, const double *projected, const double *pixels, const double *confidence,
                const uint8_t *rejected, double *shown);

typedef struct {
    double dt_s, max_speed, max_acceleration;
} Bounds;

/* out [P]: how many times its bound a motion from last is, that was at velocity; the largest. */
double beyond(int count, const double *points, const double *last, const double *velocity,
              const Bounds *bounds, double *out);

/* ---- filters.c ----------------------------------------------------------------------- */

typedef struct {
    double dt_s, speed_cutoff_hz, lever_m, min_cutoff_hz, beta;
} Smoothing;

/* out [NQ]: a step of a 1-Euro filter from q towards wanted; speed [NV] is its state. */
void smooth(const Body *body, const double *q, const double *wanted, const Smoothing *by,
            double *speed, double *out);

/* Filter values [count]; value and speed [count] are the state, a value that is not finite stays
 * for a step. */
void one_euro(int count, const double *values, const Smoothing *by, double *value, double *speed);

/* ---- gate.c --------------------------------------------------------------------------- */

/* local [P, 3], rays [P, 2] and confidence [P]: finite, and 0 where something was not below
 * `largest`; rays hold what was given.  Returns how many are seen. */
int measure(int count, int pelvis, double largest, const double *given_local,
            const double *given_confidence, double *local, double *rays, double *confidence);

/* out [P, 3]: joints relative to the pelvis with other bone lengths [P]. */
void with_lengths(int count, const int64_t *parents, const double *joints, const double *lengths,
                  double *out);

/* The lengths [m] of the bones between joints of a weight: seen ones along fitted ones, whole. */
void length_along(int count, const int64_t *parents, const double *weight, const double *seen,
                  const double *fitted, const double *lengths, double *along, double *whole);

typedef struct {
    int count;
    const double *local, *rays, *confidence; /* [P, 3], [P, 2], [P] */
} Seen;

typedef struct {
    const double *local, *rays, *lengths; /* [P, 3], [P, 2], [P] */
    double distance_m;
} Expected;

typedef struct {
    const int64_t *parents, *mirror; /* [P] */
    const double *members;           /* [2, P] 1 for the joints of arms, of legs */
    const double *size_weights;      /* [P] of the bone lengths, for the body's size */
} Limbs;

typedef struct {
    double local_m, ray_m, sigmas, flip_m, flip_gain; /* see outliers.py */
} Gates;

/* local [P, 3] of `with_lengths`; off [2, P]: which places in space, and along the rays, are
 * beyond their gates; exchanged [2, 2] likewise: arms and legs whose sides are.  Returns
 * whether any are. */
int gate(const Seen *seen, const double *points, const double *variance, const double *lengths,
         int pelvis, const Limbs *limbs, const Gates *gates, double *local, uint8_t *off,
         uint8_t *exchanged);

/* ---- maps.c --------------------------------------------------------------------------- */

#define MAX_CELLS 512 /* along the edge of a map */

typedef struct {
    int maps, height, width;
    const float *values; /* [maps, height, width] */
} Heat;

/* What a map's cells are multiplied by: 1 - hysteresis, and that times both, together. */
typedef struct {
    const float *across, *down; /* [maps, width], [maps, height]; NULL: 1 everywhere */
    double hysteresis;
} Prior;

/* cells [maps]: the highest of each; maps of a pair whose maxima fall together may be in their
 * second ones. */
void maxima(const Heat *heat, const Prior *prior, int pairs, const int64_t *pair, double cost,
            double radius, int64_t *cells);

/* Where between the cells [count] of those maps the heat is highest, and how high. */
void tops(const Heat *heat, int count, const int64_t *maps, const int64_t *cells, double lowest,
          double largest_gain, double *places, double *heights);

/* The first `most` cells that are higher than those about them; returns how many. */
int peaks(const Heat *heat, double lowest, int most, int64_t *maps, int64_t *cells);

/* ---- root.c -------------------------------------------------------------------------- */

typedef struct {
    double outlier_m, smallest_spread, nearest_m, farthest_m;
} RootLimits;

/* [3] where the pelvis is; returns 0, or -1 where that is open.  See native.pyi. */
int root_position(int count, const double *local, const double *rays, const double *weight,
                  const RootLimits *limits, double *out);

#endif
