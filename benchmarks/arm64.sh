#!/bin/sh
# A Debian root and aarch64 wheels in FOLDER, and what runs a Python there under emulation: FOLDER/python.
#
#   sh benchmarks/arm64.sh FOLDER          needs qemu-user, apt and pip; downloads about 100 MB
#   python benchmarks/arm64.py FOLDER
set -eu
folder=$1
mkdir -p "$folder" && folder=$(cd "$folder" && pwd)
mkdir -p "$folder/apt/lists/partial" "$folder/apt/cache/archives/partial" "$folder/root/proc" "$folder/wheels" "$folder/site"
: > "$folder/apt/status"

# An apt of its own: this machine's package sources, another architecture, nothing installed.
cat > "$folder/apt/conf" <<END
APT::Architecture "arm64";
APT::Architectures { "arm64"; };
Dir::State "$folder/apt";
Dir::State::status "$folder/apt/status";
Dir::Cache "$folder/apt/cache";
APT::Sandbox::User "root";
END
export APT_CONFIG="$folder/apt/conf"
apt-get -qq update
apt-get -qq install --download-only -y --no-install-recommends python3.11 libstdc++6 libgomp1 > /dev/null
for package in "$folder"/apt/cache/archives/*.deb; do dpkg -x "$package" "$folder/root"; done

# ONNX Runtime asks the kernel what the CPU is: a Neoverse N1, as the emulator plays.
for core in 0 1; do
  printf 'processor\t: %s\nBogoMIPS\t: 50.00\nFeatures\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp ' "$core"
  printf 'asimdhp cpuid asimdrdm lrcpc dcpop asimddp\nCPU implementer\t: 0x41\nCPU architecture: 8\n'
  printf 'CPU variant\t: 0x3\nCPU part\t: 0xd0c\nCPU revision\t: 1\n\n'
done > "$folder/root/proc/cpuinfo"

platforms="--platform manylinux2014_aarch64 --platform manylinux_2_27_aarch64 --platform manylinux_2_28_aarch64
  --platform manylinux_2_31_aarch64 --platform manylinux_2_34_aarch64 --platform manylinux_2_35_aarch64"
python3 -m pip download -q -d "$folder/wheels" --only-binary=:all: --no-deps --python-version 3.11 $platforms \
  numpy onnxruntime flatbuffers protobuf packaging openvino openvino-telemetry
for wheel in "$folder"/wheels/*.whl; do python3 -m zipfile -e "$wheel" "$folder/site"; done

cat > "$folder/python" <<END
#!/bin/sh
exec env PYTHONPATH="\${PYTHONPATH:-}:$folder/site" qemu-aarch64 -cpu neoverse-n1 -L "$folder/root" \\
  "$folder/root/usr/bin/python3.11" "\$@"
END
chmod +x "$folder/python"
"$folder/python" -c 'import platform, numpy, onnxruntime; print(platform.machine(), onnxruntime.__version__)'
