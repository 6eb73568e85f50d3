// Machines as their files say, for tests of what a node reports of its own: captured texts in place of /proc and /sys.

import type { MachineFacts } from "../../src/observe/machine/facts.ts";
import type { MachineSource } from "../../src/observe/machine/read-machine.ts";

const GIB = 1024 ** 3;

/** Returns a machine with these files and no others; folders have the names that the files imply. */
export function sourceOf(files: Readonly<Record<string, string>>, more: Partial<MachineSource> = {}): MachineSource {
  return {
    platform: "linux",
    arch: "arm64",
    text: async (path) => files[path],
    names: async (folder) => {
      const inside = Object.keys(files).filter((path) => path.startsWith(`${folder}/`));
      return [...new Set(inside.map((path) => path.slice(folder.length + 1).split("/")[0] ?? ""))];
    },
    disk: async () => ({ total: 100 * GIB, free: 25 * GIB }),
    cores: () => 4,
    load: () => 0.5,
    memory: () => ({ total: 0, free: 0 }),
    uptimeSeconds: () => 1_234.56,
    cpuTimes: () => ({ busy: 0, total: 0 }),
    monotonicMs: () => 0,
    ...more,
  };
}

/** A Raspberry Pi 4 with Raspberry Pi OS, whose kernel has no PSI, on a weak power supply. */
export const PI: Readonly<Record<string, string>> = {
  "/proc/meminfo": "MemTotal:        3884380 kB\nMemFree:          192512 kB\nMemAvailable:    3189544 kB\n",
  "/proc/device-tree/model": "Raspberry Pi 4 Model B Rev 1.4\0",
  "/proc/self/cgroup": "0::/system.slice/cairn.service\n",
  "/sys/fs/cgroup/system.slice/cairn.service/cpu.max": "max 100000\n",
  "/sys/fs/cgroup/system.slice/cairn.service/memory.max": "max\n",
  "/sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
  "/sys/class/thermal/thermal_zone0/temp": "48686\n",
  "/sys/class/thermal/cooling_device0/type": "cpufreq-cpu0\n",
  "/sys/class/thermal/cooling_device0/cur_state": "0\n",
  "/sys/class/hwmon/hwmon1/name": "rpi_volt\n",
  "/sys/class/hwmon/hwmon1/in0_lcrit_alarm": "1\n",
  "/sys/devices/platform/soc/soc:firmware/get_throttled": "50001\n",
  "/dev/dri/card0": "",
  "/dev/dri/renderD128": "",
};

/** A container on a VM: half a CPU and 512 MiB, of which 100 MiB are read files. */
export const CONTAINER: Readonly<Record<string, string>> = {
  "/proc/meminfo": "MemTotal:       24731708 kB\nMemAvailable:   22224760 kB\n",
  "/proc/self/cgroup": "0::/\n",
  "/proc/pressure/cpu":
    "some avg10=81.71 avg60=81.17 avg300=64.67 total=15793662423\nfull avg10=0.00 avg60=0.00 total=0\n",
  "/proc/pressure/memory": "some avg10=8.00 avg60=0.24 avg300=0.32 total=165771683\n",
  "/proc/pressure/io": "some avg10=3.25 avg60=9.21 avg300=8.60 total=1041467985\n",
  "/sys/fs/cgroup/cpu.max": "50000 100000\n",
  "/sys/fs/cgroup/cpu.stat": "usage_usec 4000000\nuser_usec 3000000\n",
  "/sys/fs/cgroup/cpu.pressure": "some avg10=12.50 avg60=1.00 avg300=0.00 total=1\n",
  "/sys/fs/cgroup/memory.max": "536870912\n",
  "/sys/fs/cgroup/memory.current": "314572800\n",
  "/sys/fs/cgroup/memory.stat": "anon 209715200\nfile 104857600\ninactive_file 104857600\n",
  "/sys/fs/cgroup/memory.pressure": "some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n",
};

/** Facts of a machine in a beat. */
export function machineOf(more: Partial<MachineFacts> = {}): MachineFacts {
  return { os: "linux", arch: "x64", labels: ["linux", "x64"], cores: 4, load: 0, ageMs: 0, ...more };
}
