/* What the service can do (PS3.18 8.9), as WADL. SPDX-License-Identifier: Apache-2.0 */
#include "web.h"

#include <stdio.h>

#define WADL "application/vnd.sun.wadl+xml"

static hilum_rc add(const struct web_call *call, const char *text)
{
    return call->api->write(call->http, text, strlen(text));
}

/* Paths and names are ours: nothing in them needs escaping; the URL is of characters a host
 * may have. Made of the table of routes itself, so that it cannot tell of one that is not
 * there. */
static hilum_rc add_route(const struct web_call *call, const struct hilum_route *route)
{
    char text[600];
    const char *path = route->pattern + strlen(WEB_ROOT);
    path += *path == '/';
    snprintf(text, sizeof text,
             "<resource path=\"%.200s\"><method name=\"%s\" id=\"%s\"><doc>%.200s</doc></method>"
             "</resource>\n",
             path, route->methods, route->cap.name, route->summary);
    return add(call, text);
}

hilum_rc web_capabilities(const struct web_call *call, const struct hilum_route *routes, size_t n)
{
    static const struct web_offer offers[] = {{WADL, NULL, NULL}, {"application/xml", NULL, NULL}};
    char head[500];
    if (web_accept(web_accept_of(call), offers, 2) < 0)
        return web_refuse(call, 406, "capabilities are sent as " WADL);
    snprintf(head, sizeof head,
             "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<application "
             "xmlns=\"http://wadl.dev.java.net/2009/02\"><resources base=\"%.300s" WEB_ROOT "\">\n",
             call->api->request(call->http)->base_url);
    hilum_rc rc = call->api->begin(call->http, 200, WADL, HILUM_LENGTH_UNKNOWN);
    if (rc == HILUM_OK)
        rc = add(call, head);
    for (size_t i = 0; rc == HILUM_OK && i < n; i++)
        if (strncmp(routes[i].pattern, WEB_ROOT "/", strlen(WEB_ROOT) + 1) == 0 &&
            routes[i].pattern[strlen(WEB_ROOT) + 1] != 0)
            rc = add_route(call, &routes[i]);
    if (rc == HILUM_OK)
        rc = add(call, "</resources></application>\n");
    return rc == HILUM_OK ? call->api->end(call->http) : rc;
}
