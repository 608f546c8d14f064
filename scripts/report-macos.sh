#!/bin/sh
# Tells how Keybearer gets on with this Mac, for an issue. Run it in a checkout.
# Prints no token. Names and ids of people are replaced.
#
# usage: report-macos.sh
set -u
private=$(mktemp -d) || exit 1
trap 'rm -rf "$private"' EXIT INT TERM

clean() {
    sed -E \
        -e 's/eyJ[A-Za-z0-9_.-]+/TOKEN/g' \
        -e 's/[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+/PERSON/g' \
        -e 's/[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}/GUID/g' \
        -e 's|/Users/[^/ ]+|/Users/USER|g'
}

section() {
    printf '\n## %s\n' "$1"
    shift
    "$@" < /dev/null > "$private/out" 2> "$private/err"
    code=$?
    clean < "$private/out" | tail -c 6000
    clean < "$private/err" | tail -c 6000 | sed 's/^/stderr: /'
    printf 'exit code %s\n' "$code"
}

printf '# Keybearer on macOS\n'
section 'system' sw_vers
section 'machine' uname -m
section 'Rust' rustc --version
section 'enrolled' profiles status -type enrollment
section 'Company Portal' defaults read "/Applications/Company Portal.app/Contents/Info" \
    CFBundleShortVersionString
section 'extension for sign-ins' sh -c 'app-sso -l 2>&1 | head -40'
section 'tests without the extension' cargo test -q -p keybearer-client --lib
section 'tests with the extension compiled in' \
    cargo test -q -p keybearer-client --lib --features macos-sso-extension
section 'the Rust credential links' cargo build -q -p keybearer \
    --features keybearer-client/macos-sso-extension
