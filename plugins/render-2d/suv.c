/* Standardised uptake values by body weight, from PET activity: a value times weight, over the dose decayed to the time
 * the values are corrected to.
 *
 * As the QIBA profile computes SUVbw; what an object leaves out is not guessed: without it
 * there is no SUV.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "render.h"

#include <math.h>
#include <string.h>

#define ISOTOPE "RadiopharmaceuticalInformationSequence[0]."

/* Two digits; negative: none. */
static double pair_of(const char *p)
{
    bool is_pair = p[0] >= '0' && p[0] <= '9' && p[1] >= '0' && p[1] <= '9';
    return is_pair ? (p[0] - '0') * 10 + (p[1] - '0') : -1;
}

/* Seconds of the day of a TM, or of a DT's time; negative: none. */
static double time_of(const char *text, size_t date)
{
    if (text == NULL || strlen(text) < date + 2 || pair_of(text + date) < 0)
        return -1;
    const char *p = text + date;
    double seconds = pair_of(p) * 3600;
    if (strlen(p) >= 4 && pair_of(p + 2) >= 0)
        seconds += pair_of(p + 2) * 60;
    if (strlen(p) >= 6 && pair_of(p + 4) >= 0)
        seconds += pair_of(p + 4);
    return seconds;
}

/* From injection to the moment of DecayCorrection START; a scan past midnight has a day more. */
static double elapsed(const struct scene *scene, uint32_t i)
{
    double start = time_of(attribute(scene, i, ISOTOPE "RadiopharmaceuticalStartTime"), 0);
    if (start < 0)
        start = time_of(attribute(scene, i, ISOTOPE "RadiopharmaceuticalStartDateTime"), 8);
    double scan = time_of(attribute(scene, i, "SeriesTime"), 0);
    double taken = time_of(attribute(scene, i, "AcquisitionTime"), 0);
    /* A derived series has the time of its making: the acquisition is what counts then. */
    if (scan < 0 || (taken >= 0 && scan > taken))
        scan = taken;
    if (start < 0 || scan < 0)
        return -1;
    return scan >= start ? scan - start : scan + 86400 - start;
}

/* GML is grams a millilitre already. CNTS: a maker's private factor, (7053,1000). */
double suv_factor(const struct scene *scene, uint32_t i)
{
    if (attribute_is(scene, i, "Units", "GML"))
        return 1;
    if (attribute_is(scene, i, "Units", "CNTS"))
        return attribute_number(scene, i, "(7053,1000)", 0);
    double weight = attribute_number(scene, i, "PatientWeight", 0) * 1000;
    double dose = attribute_number(scene, i, ISOTOPE "RadionuclideTotalDose", 0);
    double half_life = attribute_number(scene, i, ISOTOPE "RadionuclideHalfLife", 0);
    if (!attribute_is(scene, i, "Units", "BQML") || weight <= 0 || dose <= 0 || half_life <= 0)
        return 0;
    if (attribute_is(scene, i, "DecayCorrection", "ADMIN"))
        return weight / dose;
    double seconds = elapsed(scene, i);
    if (!attribute_is(scene, i, "DecayCorrection", "START") || seconds < 0)
        return 0;
    return weight / (dose * exp2(-seconds / half_life));
}
