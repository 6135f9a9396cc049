/* OpenAPI 3.1 of everything this server serves: routes as they declare themselves, and each command as a path of its own.
 *
 * Made anew for each request of what is loaded now: routes as their plugins declare them,
 * commands as the kernel lists them. So nothing is described that is not there, and a plugin of
 * somebody else's appears in it by itself. Fields that came later in the ABI are looked at only
 * where the plugin is new enough to have them (HILUM_HAS).
 *
 * jansson: json_pack with "o" takes a reference over, with "O" takes one of its own; a NULL in
 * it makes the whole NULL, which is the only check for memory needed.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "admin.h"

#include <ctype.h>
#include <stdio.h>

/* ---- small pieces ---- */

static json_t *answer(const char *what)
{
    return json_pack("{s:s}", "description", what);
}

/* Every type of a list by commas, each with a schema that says nothing but that it is there. */
static json_t *content(const char *types)
{
    json_t *out = json_object();
    char type[80];
    for (const char *p = types; *p != '\0'; p += *p == ',') {
        size_t n = strcspn(p, ",");
        snprintf(type, sizeof type, "%.*s", (int)n, p);
        json_object_set_new(out, type, json_pack("{s:{}}", "schema"));
        p += n;
    }
    return out;
}

/* An object in a query is its members as parameters of their own: whatever they are called. */
static json_t *parameter(const char *name, const char *in, const char *type, const char *what,
                         bool is_required)
{
    json_t *out = json_pack("{s:s, s:s, s:s, s:b, s:{s:s}}", "name", name, "in", in, "description",
                            what, "required", is_required, "schema", "type", type);
    if (strcmp(type, "object") == 0)
        json_object_update_new(out, json_pack("{s:s, s:b, s:{s:s, s:{s:s}}}", "style", "form",
                                              "explode", 1, "schema", "type", type,
                                              "additionalProperties", "type", "string"));
    return out;
}

/* "dicomweb/search/studies" + GET: "get_dicomweb_search_studies", one in the document. */
static void operation_id(const char *method, const char *name, char *out, size_t size)
{
    int n = snprintf(out, size, "%s_%s", method, name);
    for (int i = 0; i < n && (size_t)i < size - 1; i++)
        out[i] = (char)(isalnum((unsigned char)out[i]) ? tolower((unsigned char)out[i]) : '_');
}

/* ---- routes ---- */

/* {path...} takes the rest: OpenAPI has no such thing, so it is a parameter like others. */
static void path_text(const char *pattern, char *out, size_t size, json_t *parameters)
{
    size_t at = 0;
    for (const char *p = pattern; *p != '\0' && at + 1 < size; p++) {
        if (strncmp(p, "...}", 4) == 0)
            p += 3;
        out[at++] = *p;
        if (*p != '{')
            continue;
        char name[64];
        snprintf(name, sizeof name, "%.*s", (int)strcspn(p + 1, ".}"), p + 1);
        json_array_append_new(parameters,
                              parameter(name, "path", "string", "Part of the path.", true));
    }
    out[at] = '\0';
}

static void add_declared(const struct hilum_route *route, json_t *parameters)
{
    if (!HILUM_HAS(struct hilum_route, route->cap.size, params) || route->params == NULL)
        return;
    for (const struct hilum_route_param *p = route->params; p->name != NULL; p++)
        json_array_append_new(parameters,
                              parameter(p->name, p->in == HILUM_IN_HEADER ? "header" : "query",
                                        p->type, p->summary, p->is_required != 0));
}

static bool declares(const struct hilum_route *route, const char *header)
{
    if (!HILUM_HAS(struct hilum_route, route->cap.size, params) || route->params == NULL)
        return false;
    const struct hilum_route_param *p = route->params;
    while (p->name != NULL && strcmp(p->name, header) != 0)
        p++;
    return p->name != NULL;
}

/* `default` is every problem: they all have one form. */
static json_t *responses(const struct hilum_route *route)
{
    bool is_said = HILUM_HAS(struct hilum_route, route->cap.size, gives) && route->gives != NULL;
    json_t *out = json_object(), *good = answer("What was asked for.");
    if (is_said)
        json_object_set_new(good, "content", content(route->gives));
    json_object_set_new(out, "200", good);
    if (declares(route, "If-None-Match"))
        json_object_set_new(out, "304", answer("The client has it as it is."));
    if (declares(route, "Range"))
        json_object_set_new(out, "206", answer("A part of it."));
    json_object_set_new(out, "default",
                        json_pack("{s:s}", "$ref", "#/components/responses/problem"));
    return out;
}

/* An empty list of `security` says that none is needed. */
static json_t *operation(const struct hilum_route *route, const char *method, json_t *parameters)
{
    char id[160];
    operation_id(method, route->cap.name, id, sizeof id);
    json_t *out = json_pack("{s:s, s:s, s:o}", "operationId", id, "summary", route->summary,
                            "responses", responses(route));
    if (json_array_size(parameters) > 0)
        json_object_set(out, "parameters", parameters);
    if (route->body_max > 0) {
        bool is_said =
            HILUM_HAS(struct hilum_route, route->cap.size, takes) && route->takes != NULL;
        json_object_set_new(
            out, "requestBody",
            json_pack("{s:o}", "content",
                      content(is_said ? route->takes : "application/octet-stream")));
    }
    if (route->permission != NULL)
        json_object_set_new(out, "x-permission", json_string(route->permission));
    if (route->flags & HILUM_ROUTE_ANONYMOUS)
        json_object_set_new(out, "security", json_array());
    return out;
}

static json_t *path_item(json_t *paths, const char *path)
{
    json_t *item = json_object_get(paths, path);
    if (item == NULL) {
        item = json_object();
        json_object_set_new(paths, path, item);
    }
    return item;
}

/* Two routes of one pattern and other methods are one path in the document. */
static void add_route(json_t *paths, const struct hilum_route *route)
{
    char path[512], method[16];
    json_t *parameters = json_array();
    path_text(route->pattern, path, sizeof path, parameters);
    add_declared(route, parameters);
    json_t *item = path_item(paths, path);
    for (const char *p = route->methods; *p != '\0'; p += strspn(p, ", ")) {
        size_t n = strcspn(p, ", ");
        snprintf(method, sizeof method, "%.*s", (int)n, p);
        for (char *c = method; *c != '\0'; c++)
            *c = (char)tolower((unsigned char)*c);
        json_object_set_new(item, method, operation(route, method, parameters));
        p += n;
    }
    json_decref(parameters);
}

/* provider() pins: between the two calls the route's plugin cannot be unloaded. */
static void add_routes(const struct admin *admin, json_t *paths)
{
    const struct hilum_cap *cap;
    void *instance;
    for (uint32_t i = 0;
         admin->host->provider(admin->self, HILUM_CAP_ROUTE, i, &cap, &instance) == HILUM_OK; i++) {
        const struct hilum_route *route = (const struct hilum_route *)(const void *)cap;
        if (strstr(route->pattern, "{command...}") == NULL) /* each command is told by itself */
            add_route(paths, route);
        admin->host->unpin(admin->self, cap);
    }
}

/* ---- commands ---- */

static json_t *argument_schema(const json_t *argument)
{
    const char *type = json_string_value(json_object_get(argument, "type"));
    const char *choices = json_string_value(json_object_get(argument, "choices"));
    json_t *out = json_pack("{s:O}", "description", json_object_get(argument, "summary"));
    bool is_list = strcmp(type, "texts") == 0;
    json_object_set_new(out, "type",
                        json_string(is_list                     ? "array"
                                    : strcmp(type, "int") == 0  ? "integer"
                                    : strcmp(type, "bool") == 0 ? "boolean"
                                                                : "string"));
    if (is_list)
        json_object_set_new(out, "items", json_pack("{s:s}", "type", "string"));
    json_t *values = choices != NULL ? json_array() : NULL;
    for (const char *p = choices; p != NULL && *p != '\0'; p += *p == '|') {
        size_t n = strcspn(p, "|");
        json_array_append_new(values, json_stringn(p, n));
        p += n;
    }
    if (values != NULL)
        json_object_set_new(out, "enum", values);
    return out;
}

static json_t *arguments_schema(const json_t *command)
{
    json_t *properties = json_object(), *required = json_array(), *argument;
    size_t i;
    json_array_foreach(json_object_get(command, "args"), i, argument)
    {
        const char *name = json_string_value(json_object_get(argument, "name"));
        json_object_set_new(properties, name, argument_schema(argument));
        if (json_is_true(json_object_get(argument, "required")))
            json_array_append_new(required, json_string(name));
    }
    return json_pack("{s:s, s:b, s:o, s:o}", "type", "object", "additionalProperties", 0,
                     "properties", properties, "required", required);
}

static void add_command(json_t *paths, const json_t *command)
{
    const char *name = json_string_value(json_object_get(command, "name"));
    char path[160], id[160];
    snprintf(path, sizeof path, "/api/commands/%s", name);
    for (char *p = path; *p != '\0'; p++)
        *p = (char)(*p == ' ' ? '/' : *p);
    operation_id("run", name, id, sizeof id);
    json_t *operation = json_pack(
        "{s:s, s:O, s:O, s:{s:b, s:{s:{s:o}}}, s:{s:{s:s, s:{s:{s:{s:s}}, s:{s:{}}}}, s:{s:s}}}",
        "operationId", id, "summary", json_object_get(command, "summary"), "x-permission",
        json_object_get(command, "action"), "requestBody", "required", 0, "content",
        "application/json", "schema", arguments_schema(command), "responses", "200", "description",
        "Its result; with application/x-ndjson its answers as they come, a line each.", "content",
        "application/json", "schema", "$ref", "#/components/schemas/result", "application/x-ndjson",
        "schema", "default", "$ref", "#/components/responses/problem");
    json_object_set_new(path_item(paths, path), "post", operation);
}

/* ---- the document ---- */

static json_t *components(void)
{
    return json_pack("{s:{s:{s:s, s:{s:{}, s:{s:s}}}, s:{s:s, s:{s:{s:s}, s:{s:s}, s:{s:s}}}},"
                     " s:{s:{s:s, s:{s:{s:{s:s}}}}},"
                     " s:{s:{s:s, s:s}, s:{s:s, s:s}, s:{s:s, s:s, s:s}}}",
                     "schemas", "result", "type", "object", "properties", "result", "items", "type",
                     "array", "problem", "type", "object", "properties", "title", "type", "string",
                     "status", "type", "integer", "detail", "type", "string", "responses",
                     "problem", "description", "Why not (RFC 9457).", "content",
                     "application/problem+json", "schema", "$ref", "#/components/schemas/problem",
                     "securitySchemes", "token", "type", "http", "scheme", "bearer", "password",
                     "type", "http", "scheme", "basic", "session", "type", "apiKey", "in", "cookie",
                     "name", "hilum_session");
}

static json_t *document(const struct admin *admin, const char *base_url)
{
    json_t *paths = json_object(), *list = admin_commands(admin), *command;
    size_t i;
    add_routes(admin, paths);
    json_array_foreach(json_object_get(list, "commands"), i, command)
    {
        add_command(paths, command);
    }
    json_decref(list);
    return json_pack(
        "{s:s, s:{s:s, s:s, s:s, s:{s:s, s:s}}, s:[{s:s}], s:[{s:[]}, {s:[]}, {s:[]}], s:o, s:o}",
        "openapi", "3.1.0", "info", "title", "Hilum", "version", HILUM_VERSION, "description",
        "Routes of this server's plugins, and its commands.", "license", "name", "Apache-2.0",
        "identifier", "Apache-2.0", "servers", "url", base_url, "security", "token", "password",
        "session", "paths", paths, "components", components());
}

hilum_rc admin_openapi(void *self, const struct hilum_http_api *api, hilum_http *http)
{
    const struct admin *admin = self;
    json_t *all = document(admin, api->request(http)->base_url);
    char *text = all != NULL ? json_dumps(all, JSON_COMPACT) : NULL;
    json_decref(all);
    if (text == NULL)
        return admin->host->fail(admin->self, HILUM_ENOMEM, "no memory for a description");
    hilum_rc rc = api->respond(http, 200, "application/json", text, strlen(text));
    free(text);
    return rc;
}
