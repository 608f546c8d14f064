"""Extracts the program and the licences from the wheel `argv[1]` to the path `argv[2]`.

Fails if the program is not static.
"""

import io
import pathlib
import sys
import zipfile

from elftools.elf.elffile import ELFFile

wheel, out = sys.argv[1], pathlib.Path(sys.argv[2])
with zipfile.ZipFile(wheel) as files:
    [entry] = [entry for entry in files.infolist() if entry.filename.endswith(".data/scripts/keybearer")]
    program = files.read(entry)
    licences = [name for name in files.namelist() if ".dist-info/licenses/" in name]
    texts = {pathlib.PurePosixPath(name).name: files.read(name) for name in licences}
# pip gives an installed file the mode that it has in the wheel.
mode = entry.external_attr >> 16 & 0o777
assert mode == 0o755, f"the program's mode is {mode:o}"
segments = list(ELFFile(io.BytesIO(program)).iter_segments())
needs = [segment.get_interp_name() for segment in segments if segment["p_type"] == "PT_INTERP"]
for segment in segments:
    if segment["p_type"] == "PT_DYNAMIC":
        needs += [tag.needed for tag in segment.iter_tags("DT_NEEDED")]
assert not needs, f"the program is not static, it needs {needs}"
out.write_bytes(program)
out.chmod(mode)
for name, text in texts.items():
    out.with_name(name).write_bytes(text)
