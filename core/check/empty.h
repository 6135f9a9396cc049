/* The catalogue a plugin sees where there is no archive: in hilum-plugin-check and in contract suites.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_CHECK_EMPTY_H
#define HL_CHECK_EMPTY_H

#include "hilum/command.h"
#include "hilum/object.h"

/* open() is HILUM_EAGAIN, objects() finds none, no attribute is kept. */
extern const struct hilum_catalog_api hl_empty_catalog;
/* Nothing can be opened (HILUM_ENOTFOUND) or received (HILUM_EAGAIN). */
extern const struct hilum_object_api hl_empty_objects;
/* A server without commands whose log says nothing. */
extern const struct hilum_command_api hl_empty_commands;

#endif
