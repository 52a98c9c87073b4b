#!/bin/sh
# The seed system's name for `kimi-dispatch profile use`.
exec "$(dirname "$0")/kimi-dispatch" profile use "$@"
