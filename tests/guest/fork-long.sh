#!/bin/sh
# The same with 100 forks at once.
ISOLA_FORKS=100 exec "$(dirname "$0")/fork-test.sh" "$@"
