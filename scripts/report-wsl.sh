#!/bin/sh
# Reports how Keybearer works with the Windows broker on this machine, for an issue.
# It prints no token. Names and ids of people are replaced.
#
# usage: report-wsl.sh [--sign-in]
set -u
keybearer=${KEYBEARER_PROGRAM:-keybearer}
sign_in=${1:-}
private=$(mktemp -d) || exit 1
trap 'rm -rf "$private"' EXIT INT TERM

# Tokens first, so that no part of a token is taken for a name.
clean() {
    tr -d '\000\r' | sed -E \
        -e 's/eyJ[A-Za-z0-9_.-]+/TOKEN/g' \
        -e 's/[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+/PERSON/g' \
        -e 's/[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}/GUID/g' \
        -e 's/"(name|username)": *"[^"]*"/"\1":"PERSON"/g' \
        -e 's|/home/[^/ ]+|/home/USER|g'
}

# section TITLE LIMIT COMMAND...: prints the output, the exit code and the time of a command.
section() {
    title=$1 limit=$2
    shift 2
    printf '\n## %s\n' "$title"
    begin=$(date +%s)
    timeout "$limit" "$@" < /dev/null > "$private/out" 2> "$private/err"
    code=$?
    clean < "$private/out" | head -c 4000
    clean < "$private/err" | head -c 2000 | sed 's/^/stderr: /'
    printf 'exit code %s after %s s, %s bytes on stdout\n' \
        "$code" "$(($(date +%s) - begin))" "$(wc -c < "$private/out" | tr -d ' ')"
}

# As section, for a command that prints a token: only the length of the output is printed.
secret_section() {
    title=$1 limit=$2
    shift 2
    printf '\n## %s\n' "$title"
    begin=$(date +%s)
    timeout "$limit" "$@" < /dev/null > "$private/out" 2> "$private/err"
    code=$?
    clean < "$private/err" | head -c 2000 | sed 's/^/stderr: /'
    printf 'exit code %s after %s s, %s bytes in %s lines on stdout (not shown)\n' "$code" \
        "$(($(date +%s) - begin))" "$(wc -c < "$private/out" | tr -d ' ')" \
        "$(wc -l < "$private/out" | tr -d ' ')"
    : > "$private/out"
}

printf '# Keybearer in WSL\n'
section 'kernel' 5 uname -rm
section 'distribution' 5 sed -n 's/^PRETTY_NAME=//p' /etc/os-release
section 'WSL version' 10 /usr/bin/wslinfo --wsl-version
section 'proxy' 10 /usr/bin/wslinfo --msal-proxy-path -n
section 'interop' 5 sh -c 'ls /proc/sys/fs/binfmt_misc; sed -n "/^\[interop\]/,/^\[/p" /etc/wsl.conf'
section 'elevated (0 means yes)' 10 sh -c \
    'cd /mnt/c && /mnt/c/Windows/System32/net.exe session > /dev/null 2>&1; echo $?'
section 'keybearer' 5 "$keybearer" --version
section 'doctor' 30 "$keybearer" doctor
section 'accounts' 200 "$keybearer" accounts --output json

scope=https://management.core.windows.net/.default
if [ "$sign_in" = --sign-in ]; then
    printf '\nA dialog of Windows should appear. Sign in.\n' >&2
    section 'sign-in' 330 "$keybearer" login --timeout 300
    section 'accounts after the sign-in' 200 "$keybearer" accounts --output json
    secret_section 'token, silently' 100 "$keybearer" token --silent --scope "$scope"
    secret_section 'token, a second time' 100 "$keybearer" token --silent --scope "$scope"
    printf '\nA dialog of Windows should appear again, and close by itself after 15 s.\n' >&2
    section 'sign-in without an answer' 60 "$keybearer" login --timeout 15
fi
