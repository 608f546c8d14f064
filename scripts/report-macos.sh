#!/bin/sh
# Reports how Keybearer works on this Mac, for an issue. Run it in a checkout.
# It prints no token. Names and ids of people and addresses of organizations are replaced.
#
# usage: report-macos.sh [--sign-in]
set -u
cd "$(dirname "$0")/.." || exit 1
sign_in=${1:-}
private=$(mktemp -d) || exit 1
trap 'rm -rf "$private"' EXIT
trap 'exit 130' INT TERM

# Tokens first, so that no part of a token is taken for a name.
clean() {
    LC_ALL=C sed -E \
        -e 's/eyJ[A-Za-z0-9_.-]+/TOKEN/g' \
        -e 's/[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+/PERSON/g' \
        -e 's/[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}/GUID/g' \
        -e 's/"(name|username)": *"[^"]*"/"\1":"PERSON"/g' \
        -e 's|https?://[^ /"]+|https://HOST|g' \
        -e 's|/Users/[^/ ]+|/Users/USER|g'
}

# section TITLE COMMAND...: prints the output and the exit code of a command.
section() {
    printf '\n## %s\n' "$1"
    shift
    "$@" < /dev/null > "$private/out" 2> "$private/err"
    code=$?
    clean < "$private/out" | tail -c 6000
    clean < "$private/err" | tail -c 6000 | sed 's/^/stderr: /'
    printf 'exit code %s\n' "$code"
}

# As section, for a command that prints a token: only the length of the output is printed.
secret_section() {
    printf '\n## %s\n' "$1"
    shift
    "$@" < /dev/null > "$private/out" 2> "$private/err"
    code=$?
    clean < "$private/err" | tail -c 6000 | sed 's/^/stderr: /'
    printf 'exit code %s, %s bytes on stdout (not shown)\n' \
        "$code" "$(wc -c < "$private/out" | tr -d ' ')"
    : > "$private/out"
}

printf '# Keybearer on macOS\n'
section 'system' sw_vers
section 'machine' uname -m
section 'Rust' rustc --version
section 'enrolled' profiles status -type enrollment
section 'Company Portal' defaults read "/Applications/Company Portal.app/Contents/Info" \
    CFBundleShortVersionString
section 'extensions for sign-ins' pluginkit -m -p com.apple.AppSSO.idp-extension

section 'tests without the extension' cargo test -q -p keybearer-client --lib
section 'tests with the extension compiled in' \
    cargo test -q -p keybearer-client --lib --features macos-sso-extension
section 'the keychain and the rest of the host' cargo test -q -p keybearer-host --lib
section 'the program links with the extension compiled in' \
    cargo build -q -p keybearer-cli --features keybearer-client/macos-sso-extension

keybearer=${CARGO_TARGET_DIR:-target}/debug/keybearer
scope=https://management.azure.com/.default
section 'the program' "$keybearer" --version
section 'doctor' "$keybearer" doctor
section 'accounts' "$keybearer" accounts --output json
secret_section 'token, silently' "$keybearer" token --silent --scope "$scope" --timeout 30

if [ "$sign_in" = --sign-in ]; then
    printf '\nA window of the system or the browser should open. Sign in.\n' >&2
    secret_section 'token, with a sign-in' "$keybearer" token --scope "$scope" --timeout 300
fi
