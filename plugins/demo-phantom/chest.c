/* An analytic chest: ellipsoids and tubes with known places and CT numbers, so that whatever
 * measures it later (calcium, airway, localizer) has a truth to meet. SPDX-License-Identifier:
 * Apache-2.0 */
#include "phantom.h"

#include <math.h>

struct ellipsoid {
    double x, y, z, a, b, c; /* centre and half axes, mm */
    double hu;
};

/* Later ones lie inside earlier ones. The order is the picture: what comes later replaces what
 * it lies in. */
static const struct ellipsoid organs[] = {
    {0, 0, 0, 170, 115, 400, 35},   /* body wall */
    {0, 2, 0, 158, 104, 390, -90},  /* fat */
    {0, 4, 0, 150, 96, 380, 45},    /* muscle */
    {-72, 5, 5, 62, 78, 110, -850}, /* right lung */
    {76, 8, 5, 56, 74, 108, -850},  /* left lung */
    {18, -18, -25, 58, 50, 62, 40}, /* heart */
    {30, -20, -30, 30, 28, 38, 45}, /* left ventricle's blood */
    {0, 72, 0, 17, 15, 400, 280},   /* vertebral bodies */
    {0, 96, 0, 9, 9, 400, 30},      /* spinal canal */
    {14, 46, 0, 12, 12, 400, 45},   /* descending aorta */
    {0, -92, 20, 14, 5, 80, 250},   /* sternum */
    {-46, 20, 40, 7, 7, 7, 60},     /* a nodule in the right lung */
};

/* Plaques of coronary calcium: on the course of LAD, LCX and RCA. */
static const struct ellipsoid plaques[] = {
    {22, -62, 12, 3.0, 2.2, 4.5, 420},
    {34, -60, 0, 2.5, 2.0, 6.0, 360},
    {58, -30, -8, 2.4, 2.4, 3.0, 300},
    {-34, -34, -12, 2.8, 2.8, 4.8, 510},
};

static int is_inside(const struct ellipsoid *e, double x, double y, double z)
{
    double dx = (x - e->x) / e->a, dy = (y - e->y) / e->b, dz = (z - e->z) / e->c;
    return dx * dx + dy * dy + dz * dz < 1;
}

/* Trachea down to the carina at z = 30, then two main bronchi at 35 and 45 degrees. 1 lumen, 2
 * wall. */
static int airway(double x, double y, double z)
{
    double cx = 0, cy = 22, r = 9;
    if (z < 30) {
        double down = 30 - z;
        if (down > 45)
            return 0;
        int right = x < 0;
        cx = right ? -down * 0.70 : down * 1.0;
        cy = 22 + down * 0.15;
        r = right ? 7 : 6;
    }
    double d = hypot(x - cx, y - cy);
    return d < r ? 1 : d < r + 1.6 ? 2 : 0;
}

/* Ribs: tilted rings in the chest wall, 24 mm apart. */
static int is_rib(double x, double y, double z)
{
    double radius = hypot(x / 152, y / 98);
    double tilted = z + 0.35 * y;
    double phase = tilted - 24 * floor(tilted / 24 + 0.5);
    return fabs(radius - 1.0) < 0.035 && fabs(phase) < 5 && fabs(x) > 12;
}

double chest_hu(double x, double y, double z)
{
    double hu = -1000;
    for (unsigned i = 0; i < sizeof organs / sizeof *organs; i++)
        if (is_inside(&organs[i], x, y, z))
            hu = organs[i].hu;
    if (is_rib(x, y, z))
        hu = 400;
    int tube = airway(x, y, z);
    if (tube)
        hu = tube == 1 ? -1000 : 30;
    for (unsigned i = 0; i < sizeof plaques / sizeof *plaques; i++)
        if (is_inside(&plaques[i], x, y, z))
            hu = plaques[i].hu;
    return hu;
}

/* Length of the chord along y through an ellipsoid. */
static double chord(const struct ellipsoid *e, double x, double z)
{
    double dx = (x - e->x) / e->a, dz = (z - e->z) / e->c;
    double rest = 1 - dx * dx - dz * dz;
    return rest > 0 ? 2 * e->b * sqrt(rest) : 0;
}

/* Analytic, not a sum of samples: the nine million pixels of a radiograph are made in a
 * moment. */
double chest_projection(double x, double z)
{
    /* Each organ replaces what it lies in: wall 35 HU -> fat -> muscle -> organ. */
    static const double inside_of[] = {-1000, 35, -90, 45, 45, 45, 40, 45, 280, 45, 45, -850};
    double sum = 0;
    for (unsigned i = 0; i < sizeof organs / sizeof *organs; i++)
        sum += chord(&organs[i], x, z) * (organs[i].hu - inside_of[i]);
    double front = is_rib(x, -98 * sqrt(fmax(0, 1 - x * x / 23104)), z) ? 5200 : 0;
    double back = is_rib(x, 98 * sqrt(fmax(0, 1 - x * x / 23104)), z) ? 5200 : 0;
    return fmax(0, sum + front + back) / 1000;
}
