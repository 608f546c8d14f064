#!/bin/sh
# Builds a CPython for musl, enough of it to fetch a token.
# usage: musl-python.sh ZIG SOURCE OUT MACHINE [PYTHON]
#   ZIG      the compiler, which brings musl's headers and start objects
#   SOURCE   CPython's unpacked source
#   OUT      where to build; it holds musl's own dynamic linker in lib/
#   MACHINE  x86_64 or aarch64
#   PYTHON   for a machine that is not this one: a Python of the same version that runs here
set -eu
zig=$1 source=$2 out=$3 machine=$4 python=${5-}

mkdir -p "$out/build" "$out/tools"
cd "$out/build"

# CPython's setup.py names this machine's own headers and libraries. Position independent code, for
# zig's stand-in for libc.so keeps `environ` and `__environ` apart, and copies would differ.
cat > "$out/tools/cc" <<SCRIPT
#!/bin/sh
for word; do
    shift
    case \$word in -I/usr/* | -L/usr/*) ;; *) set -- "\$@" "\$word" ;; esac
done
exec "$zig" cc -target $machine-linux-musl -dynamic -fPIC -Wno-date-time "\$@"
SCRIPT
printf '#!/bin/sh\nexec "%s" ar "$@"\n' "$zig" > "$out/tools/ar"
chmod +x "$out/tools/cc" "$out/tools/ar"
ln -sf "$(command -v readelf)" "$out/tools/$machine-linux-musl-readelf"
PATH=$out/tools:$PATH

# What configure cannot find out, for programs of the other machine do not run here, and its own are
# linked at fixed addresses, where `environ` is lost.
printf 'ac_cv_file__dev_ptmx=yes\nac_cv_file__dev_ptc=no\nac_cv_buggy_getaddrinfo=no\n' > answers
export CONFIG_SITE="$PWD/answers"
if [ -n "$python" ]; then
    set -- "--host=$machine-linux-musl" "--build=$(uname -m)-linux-gnu" "--with-build-python=$python"
else
    # It runs here while it is built, where musl's linker may not be installed.
    set -- "LDFLAGS=-Wl,--dynamic-linker=$out/lib/ld-musl-$machine.so.1"
fi
"$source/configure" "$@" CC="$out/tools/cc" AR="$out/tools/ar" RANLIB=true OPT=-O1 \
    --without-ensurepip --disable-test-modules > configure.log 2>&1 || { tail configure.log; exit 1; }
make -j"$(nproc)" python sharedmods LINKFORSHARED="-rdynamic -pie" > make.log 2>&1 ||
    { tail make.log; exit 1; }
