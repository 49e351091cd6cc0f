# SPDX-License-Identifier: Apache-2.0
"""Those who run an image: Isola's board_run, QEMU's TCG, Bochs. Each returns what it wrote to port 0xe9."""
import glob
import os
import shutil
import subprocess
import tempfile
import time

QUIET = 3  # seconds of its own processor time without a byte of log after which an image hangs
MUCH = 16 << 20  # bytes of log: a program that logs for ever
IDLE = 60  # seconds after which one that waits does


def spent(child):
    """Processor seconds that a process has used."""
    try:
        with open(f'/proc/{child.pid}/stat') as f:
            fields = f.read().rsplit(') ', 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')
    except (OSError, IndexError):
        return 0


def runnable(child):
    """Whether a thread of it would run if it got a processor."""
    for stat in glob.glob(f'/proc/{child.pid}/task/*/stat'):
        try:
            with open(stat) as f:
                if f.read().rsplit(') ', 1)[1][0] in 'RD':
                    return True
        except (OSError, IndexError):
            pass
    return False


def watch(command, log, stdout=None):
    """Runs until it ends or hangs; the bytes of the file that it logs to. A busy machine makes nobody hang."""
    # Bochs leaves the guest's memory to malloc, which test runners ask to fill it at random.
    environment = {k: v for k, v in os.environ.items() if k != 'MALLOC_PERTURB_'}
    with open(log, 'wb') as out:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out if stdout else subprocess.DEVNULL,
                                 stderr=subprocess.DEVNULL, env=environment)
    size, used, since = 0, 0, time.monotonic()
    try:
        while child.poll() is None:
            try:
                child.wait(.02)
            except subprocess.TimeoutExpired:
                pass
            grown = os.path.getsize(log)
            if grown > MUCH:
                break
            if grown != size:
                size, used, since = grown, spent(child), time.monotonic()
            elif spent(child) - used > QUIET or time.monotonic() - since > IDLE and not runnable(child):
                break
    finally:
        child.kill()
        child.wait()
    with open(log, 'rb') as f:
        return f.read()


class Isola:
    name = 'isola'

    def __init__(self, path, folder):
        self.path, self.log = path, os.path.join(folder, 'isola.log')

    def run(self, rom):
        return watch([self.path, rom, self.log], self.log)


class Qemu:
    """The vendor of this model is Intel's, as that of Isola's."""
    name = 'qemu'

    def __init__(self, folder, path=None):
        self.path, self.log = path or shutil.which('qemu-system-x86_64'), os.path.join(folder, 'qemu.log')

    def run(self, rom):
        return watch([self.path, '-accel', 'tcg', '-cpu', 'max,vendor=GenuineIntel,-la57', '-M', 'pc', '-m', '4', '-bios',
                      rom, '-nodefaults', '-display', 'none', '-chardev', f'file,id=d,path={self.log}', '-device',
                      'isa-debugcon,iobase=0xe9,chardev=d', '-device', 'isa-debug-exit,iobase=0xf4,iosize=4'], self.log)


def alone():
    """A command in front of Bochs that keeps its display server off this host's network."""
    for prefix in (['unshare', '-rn'], ['unshare', '-n']):
        if shutil.which('unshare') and subprocess.run(prefix + ['true'], stderr=subprocess.DEVNULL).returncode == 0:
            return prefix
    return []


class Bochs:
    """Its debugger stops at each reset and is told to continue; what it says is skipped as noise."""
    name = 'bochs'

    def __init__(self, folder, path=None):
        self.path, self.folder = path or shutil.which('bochs-bin'), folder
        self.log = os.path.join(folder, 'bochs.log')
        self.prefix = alone()
        vga = bytearray(512)
        vga[:4] = b'\x55\xaa\x01\xcb'
        vga[511] = -sum(vga) & 255
        with open(os.path.join(folder, 'vga.rom'), 'wb') as f:
            f.write(vga)
        with open(os.path.join(folder, 'continue'), 'w') as f:
            f.write('c\n' * 400)

    def run(self, rom):
        rc = os.path.join(self.folder, 'bochsrc')
        with open(rc, 'w') as f:
            f.write(f'''config_interface: textconfig
display_library: rfb, options="timeout=0"
memory: guest=4, host=4
romimage: file={rom}
vgaromimage: file={self.folder}/vga.rom
cpu: model=corei3_cnl, ips=50000000, reset_on_triple_fault=1, ignore_bad_msrs=0
clock: sync=none
log: {self.folder}/bochs.txt
panic: action=report
port_e9_hack: enabled=1
speaker: enabled=0
sound: waveoutdrv=dummy
plugin_ctrl: serial=0, parallel=0, gameport=0, speaker=0
pci: enabled=0
''')
        return watch(self.prefix + [self.path, '-q', '-f', rc, '-rc', os.path.join(self.folder, 'continue')], self.log,
                     stdout=True)


def folder(keep):
    """A new directory, or the one to keep."""
    if keep:
        os.makedirs(keep, exist_ok=True)
        return keep
    return tempfile.mkdtemp(prefix='isola-oracle-')


def present(directory):
    """The judges that are installed."""
    found = []
    if shutil.which('qemu-system-x86_64'):
        found.append(Qemu(directory))
    if shutil.which('bochs-bin'):
        found.append(Bochs(directory))
    return found
