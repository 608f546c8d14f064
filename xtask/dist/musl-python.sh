#!/bin/sh
# Builds a CPython for musl with the modules that fetching a token needs.
# usage: musl-python.sh ZIG SOURCE OUT MACHINE [PYTHON]
#   ZIG      the compiler, which contains musl's headers and start objects
#   SOURCE   CPython's unpacked source
#   OUT      the build directory; it has musl's dynamic linker in lib/
#   MACHINE  x86_64 or aarch64
#   PYTHON   when building for another machine: a Python of the same version that runs here
set -eu
zig=$1 source=$2 out=$3 machine=$4 python=${5-}

mkdir -p "$out/build" "$out/tools"
cd "$out/build"

# CPython's setup.py adds the headers and libraries of this machine, which the wrapper removes. The code
# is position independent, because zig's libc.so has separate symbols `environ` and `__environ`, and
# copy relocations of them would differ.
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

# configure cannot find these out: programs for the other machine do not run here, and its test programs
# are linked at fixed addresses, where `environ` is lost.
printf 'ac_cv_file__dev_ptmx=yes\nac_cv_file__dev_ptc=no\nac_cv_buggy_getaddrinfo=no\n' > answers
export CONFIG_SITE="$PWD/answers"
if [ -n "$python" ]; then
    set -- "--host=$machine-linux-musl" "--build=$(uname -m)-linux-gnu" "--with-build-python=$python"
else
    # The build runs this Python, and musl's dynamic linker may not be installed on this machine.
    set -- "LDFLAGS=-Wl,--dynamic-linker=$out/lib/ld-musl-$machine.so.1"
fi
"$source/configure" "$@" CC="$out/tools/cc" AR="$out/tools/ar" RANLIB=true OPT=-O1 \
    --without-ensurepip --disable-test-modules > configure.log 2>&1 || { tail configure.log; exit 1; }
make -j"$(nproc)" python sharedmods LINKFORSHARED="-rdynamic -pie" > make.log 2>&1 ||
    { tail make.log; exit 1; }
