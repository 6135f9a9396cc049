/* Colours that data sets give in CIELab of D50, as inks of sRGB (PS3.3 C.10.7.1.1). SPDX-License-Identifier: Apache-2.0 */
#include "render.h"

#include <math.h>

/* Back through the cube root of CIE 15. */
static double inverse(double t)
{
    return t > 6.0 / 29 ? t * t * t : (t - 4.0 / 29) * 3 * (6.0 / 29) * (6.0 / 29);
}

static double gamma_of(double linear)
{
    if (!(linear > 0))
        return 0;
    double value = linear <= 0.0031308 ? linear * 12.92 : 1.055 * pow(linear, 1 / 2.4) - 0.055;
    return value < 1 ? value : 1;
}

/* L* as 0 to 65535 for 0 to 100, a* and b* with 128 for 0 in the upper byte. */
bool ink_of_lab(const struct scene *scene, uint32_t i, const char *path, struct ink *out)
{
    /* From XYZ of D50 to linear sRGB, the white adapted by Bradford. */
    static const double m[3][3] = {{3.1338561, -1.6168667, -0.4906146},
                                   {-0.9787684, 1.9161415, 0.0334540},
                                   {0.0719453, -0.2289914, 1.4052427}};
    double words[3], rgb[3];
    if (attribute_numbers(attribute(scene, i, path), words, 3) != 3)
        return false;
    double l = words[0] / 65535 * 100, a = words[1] / 257 - 128, b = words[2] / 257 - 128;
    double fy = (l + 16) / 116, fx = fy + a / 500, fz = fy - b / 200;
    const double xyz[] = {0.9642 * inverse(fx), inverse(fy), 0.8249 * inverse(fz)};
    for (int k = 0; k < 3; k++)
        rgb[k] = gamma_of(m[k][0] * xyz[0] + m[k][1] * xyz[1] + m[k][2] * xyz[2]);
    out->red = rgb[0];
    out->green = rgb[1];
    out->blue = rgb[2];
    return true;
}
