/* TLS of `http`: what the library is told. SPDX-License-Identifier: Apache-2.0 */
#ifndef PLUGIN_HTTP_TLS_H
#define PLUGIN_HTTP_TLS_H

#include <microhttpd.h>

#include "http.h"

struct MHD_OptionItem http_tls_option(struct http_server *server);

#endif
