/* The Native DICOM Model (PS3.19 A.1) as it is received: to the DICOM JSON Model, which the encoder takes. No DTD, no
 * entities of anybody's, nothing from the network.
 *
 * libxml2 makes the tree, from memory, without network and without substituting entities; a
 * document with a DTD is refused after parsing, which its own limits (depth, size of names,
 * amplification) keep harmless. metadata_max bounds the text.
 *
 * The result is what web_encode takes, so that XML and JSON have one way from here.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "stow.h"

#include <libxml/parser.h>
#include <libxml/tree.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

/* NUMBER_MAX: number="4000000000" would be filled up with as many empty values. */
enum { DEPTH_MAX = 32, NUMBER_MAX = 100000 };

struct reading {
    const char *why;
    int depth;
};

/* By local name: the namespace is given in various ways by senders. */
static bool is_named(const xmlNode *node, const char *name)
{
    return node->type == XML_ELEMENT_NODE && strcmp((const char *)node->name, name) == 0;
}

static json_t *attributes_of(struct reading *reading, const xmlNode *parent);

/* A node's text; NULL: no memory, or not of UTF-8. json_string refuses what is not UTF-8;
 * jansson's functions take NULL and pass failure on. */
static json_t *text_of(const xmlNode *node)
{
    xmlChar *text = xmlNodeGetContent(node);
    json_t *value = text != NULL ? json_string((const char *)text) : NULL;
    xmlFree(text);
    return value;
}

/* "Wang^Xiaoming" of a group's components. Components left out between two that are there
 * still have their '^' (PS3.5 6.2.1). */
static json_t *group_of(const xmlNode *group)
{
    static const char *const parts[] = {"FamilyName", "GivenName", "MiddleName", "NamePrefix",
                                        "NameSuffix"};
    struct web_text text = {0};
    size_t at = 0;
    for (size_t i = 0; i < 5; i++)
        for (const xmlNode *node = group->children; node != NULL; node = node->next)
            if (is_named(node, parts[i])) {
                xmlChar *part = xmlNodeGetContent(node);
                for (; at < i; at++)
                    web_text_put(&text, "^");
                web_text_put(&text, part != NULL ? (const char *)part : "");
                xmlFree(part);
            }
    json_t *value = text.failed ? NULL : json_stringn(text.bytes != NULL ? text.bytes : "", text.n);
    web_text_fini(&text);
    return value;
}

static json_t *name_of(const xmlNode *name)
{
    json_t *value = json_object();
    for (const xmlNode *node = name->children; node != NULL; node = node->next)
        if (node->type == XML_ELEMENT_NODE)
            json_object_set_new(value, (const char *)node->name, group_of(node));
    return value;
}

static json_t *value_of(struct reading *reading, const xmlNode *node)
{
    if (is_named(node, "Item"))
        return attributes_of(reading, node);
    return is_named(node, "PersonName") ? name_of(node) : text_of(node);
}

/* Numbers tell places; those left out are empty values. Ascending numbers are demanded: that
 * keeps an array enough, and senders have nothing to gain by another order. */
static void value_add(struct reading *reading, json_t *attribute, const xmlNode *node)
{
    xmlChar *text = xmlGetProp(node, (const xmlChar *)"number");
    size_t number = text != NULL ? (size_t)strtoul((const char *)text, NULL, 10) : 0;
    json_t *values = json_object_get(attribute, "Value");
    xmlFree(text);
    if (values == NULL) {
        values = json_array();
        json_object_set_new(attribute, "Value", values);
    }
    if (number == 0 || number > NUMBER_MAX || number <= json_array_size(values))
        reading->why = "values are not numbered from 1 on";
    while (reading->why == NULL && json_array_size(values) + 1 < number)
        json_array_append_new(values, json_null());
    if (reading->why == NULL && json_array_append_new(values, value_of(reading, node)) != 0)
        reading->why = "a value is not UTF-8, or there is no memory";
}

static void property_copy(json_t *attribute, const char *key, const xmlNode *node, const char *name)
{
    xmlChar *text = xmlGetProp(node, (const xmlChar *)name);
    if (text != NULL)
        json_object_set_new(attribute, key, json_string((const char *)text));
    xmlFree(text);
}

static json_t *attribute_of(struct reading *reading, const xmlNode *node)
{
    json_t *attribute = json_object();
    property_copy(attribute, "vr", node, "vr");
    for (const xmlNode *child = node->children; child != NULL; child = child->next) {
        if (is_named(child, "Value") || is_named(child, "PersonName") || is_named(child, "Item"))
            value_add(reading, attribute, child);
        else if (is_named(child, "InlineBinary"))
            json_object_set_new(attribute, "InlineBinary", text_of(child));
        else if (is_named(child, "BulkData"))
            property_copy(attribute, "BulkDataURI", child, "uri");
    }
    return attribute;
}

/* A tag twice: the later one holds, as with JSON objects of most parsers. */
static json_t *attributes_of(struct reading *reading, const xmlNode *parent)
{
    json_t *attributes = json_object();
    if (++reading->depth > DEPTH_MAX)
        reading->why = "items are nested too deeply";
    for (const xmlNode *node = parent->children; reading->why == NULL && node != NULL;
         node = node->next) {
        if (!is_named(node, "DicomAttribute"))
            continue;
        xmlChar *tag = xmlGetProp(node, (const xmlChar *)"tag");
        if (tag != NULL)
            json_object_set_new(attributes, (const char *)tag, attribute_of(reading, node));
        else
            reading->why = "an attribute has no tag";
        xmlFree(tag);
    }
    reading->depth--;
    return attributes;
}

json_t *web_model_read(const char *xml, size_t n, const char **why)
{
    struct reading reading = {0};
    json_t *attributes = NULL;
    xmlDoc *document = xmlReadMemory(xml, (int)n, NULL, NULL,
                                     XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
    const xmlNode *top = document != NULL ? xmlDocGetRootElement(document) : NULL;
    if (document == NULL)
        reading.why = "the metadata are no well-formed XML";
    else if (document->intSubset != NULL)
        reading.why = "XML with a document type is not taken";
    else if (top == NULL || !is_named(top, "NativeDicomModel"))
        reading.why = "the metadata are no NativeDicomModel";
    else
        attributes = attributes_of(&reading, top);
    if (document != NULL)
        xmlFreeDoc(document);
    if (reading.why != NULL) {
        json_decref(attributes);
        attributes = NULL;
    }
    *why = reading.why;
    return attributes;
}
