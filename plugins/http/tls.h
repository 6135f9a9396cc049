/* TLS of `http`: what the library is told. SPDX-License-Identifier: Apache-2.0 */
#ifndef PLUGIN_HTTP_TLS_H
#define PLUGIN_HTTP_TLS_H

#include <microhttpd.h>

#include "http.h"

struct MHD_OptionItem http_tls_option(struct http_server *server);

/* PEM of who vouches for certificates of clients; MHD_OPTION_END: none are asked for. */
struct MHD_OptionItem http_client_ca_option(struct http_server *server);

#endif
