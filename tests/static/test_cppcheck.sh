#!/usr/bin/env bash
# cppcheck over the kernel and our plugins: warnings and portability, no suppressions but those named here.
cd "$(dirname "$0")/../.." || exit 1
cppcheck --quiet --error-exitcode=1 --enable=warning,portability --inline-suppr --std=c11 -j 2 \
    --suppress=missingIncludeSystem -I . -I sdk/include -D_GNU_SOURCE \
    -DHILUM_VERSION='"0"' -DHILUM_PLUGIN_DIR='""' -DHILUM_RULES_DIR='""' core plugins
