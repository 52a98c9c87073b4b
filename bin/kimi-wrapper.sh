#!/bin/sh
# The seed system's name for `kimi-dispatch run`.
exec "$(dirname "$0")/kimi-dispatch" run "$@"
